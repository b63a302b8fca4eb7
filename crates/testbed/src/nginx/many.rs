//! NGINX's files for any number of instances, made from those for two by the same rules.
//!
//! What the two have at once is shared out among all: NGINX's descriptors do not become more. Only the bound of an
//! instance on its own clients stays, by affinity: what a few hot ones are sent is not to go elsewhere. A client's
//! last two digits say which of a hundred parts it is in, and each part belongs to an instance. Another instance takes
//! its share of them from all the others in turn, and nothing else moves.

use anyhow::{Context, Result};

use crate::split::Service;

/// Into how many parts affinity divides the clients, by the last two digits.
const PARTS: usize = 100;

/// What of a line is shared out.
const BOUNDS: [&str; 2] = ["max_conns=", "keepalive "];

/// Returns the address of an instance in the files, from 0, as in the Compose stack.
pub(super) fn socket(index: usize) -> String {
    format!("unix:/run/guiche/{}.sock", Service::Api(index).name())
}

/// Returns a file's text for `count` instances.
///
/// # Errors
/// When it does not have what is rewritten here.
pub(super) fn for_instances(text: &str, count: usize) -> Result<String> {
    if count == 2 {
        return Ok(text.to_owned());
    }
    let Ok(map) = block(text, "map $uri $window {") else {
        let upstream = block(text, "upstream guiche {")?;
        let lines = upstream.lines().filter(|line| !line.contains(&socket(1)));
        let made = lines.flat_map(|line| match line.contains(&socket(0)) {
            true => {
                (0..count).map(|index| of_share(&line.replace(&socket(0), &socket(index)), count)).collect()
            }
            false => vec![line.to_owned()],
        });
        return Ok(text.replace(upstream, &made.collect::<Vec<_>>().join("\n")));
    };
    let (odd, even) = (block(text, "upstream odd {")?, block(text, "upstream even {")?);
    let windows: Vec<String> = (0..count).map(|index| window(odd, index, count)).collect();
    Ok(text.replace(map, &map_of(count)).replace(even, "").replace(odd, &windows.join("\n    ")))
}

/// Returns the block that begins so, without its line's indent, to its closing brace.
fn block<'a>(text: &'a str, begin: &str) -> Result<&'a str> {
    let from = text.find(begin).with_context(|| format!("{begin:?} is not in it"))?;
    let length = text[from..].find("\n    }").with_context(|| format!("{begin:?} does not end"))?;
    Ok(&text[from..from + length + "\n    }".len()])
}

/// Returns the upstream of one instance's clients, of that of the odd ones: the next instance takes over when it is
/// gone, and then the others.
fn window(odd: &str, index: usize, count: usize) -> String {
    let lines = odd.lines().flat_map(|line| {
        let own = line.contains(&socket(0)) && !line.contains("backup");
        let line = if own { line.to_owned() } else { of_share(line, count) };
        if !line.contains(&socket(1)) {
            return vec![line.replace("upstream odd", &name(index)).replace(&socket(0), &socket(index))];
        }
        let others = (1..count).map(|next| (index + next) % count);
        let backups = others.map(|other| line.replace(&socket(1), &socket(other)));
        backups
            .enumerate()
            .map(|(at, line)| if at == 0 { line } else { line.replace(" weight=9999", "") })
            .collect()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn name(index: usize) -> String {
    format!("upstream window{}", index + 1)
}

/// Returns a line with its share of the requests at once, or of the kept connections, that two have, rounded up.
fn of_share(line: &str, count: usize) -> String {
    let found = BOUNDS.iter().find_map(|bound| Some((bound, line.split_once(bound)?)));
    let Some((bound, (before, rest))) = found else { return line.to_owned() };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let of_two: usize = rest[..digits].parse().unwrap_or(0);
    format!("{before}{bound}{}{}", (2 * of_two).div_ceil(count), &rest[digits..])
}

/// Returns what tells a client's instance by the last two digits of its id.
fn map_of(count: usize) -> String {
    let mut text = "map $uri $part {
        default                                   00;
        \"~^/clientes/\\d*(?<two>\\d\\d)(/|$)\" $two;
        \"~^/clientes/(?<one>\\d)(/|$)\"        0$one;
    }
    map $part $window {
"
    .to_owned();
    for (part, owner) in owners(count).into_iter().enumerate() {
        text.push_str(&format!("        {part:02} window{};\n", owner + 1));
    }
    text + "    }"
}

/// Returns whose each part is. An instance that comes takes its share from those that have the most, as far apart as can
/// be, so that the first few clients are shared out too; one that goes gives back just these.
fn owners(count: usize) -> [usize; PARTS] {
    let mut owners = [0; PARTS];
    for newcomer in 1..count {
        let share = PARTS / (newcomer + 1);
        for taken in 0..share {
            let wanted = newcomer + 1 + taken * PARTS / share;
            let most = (0..newcomer).map(|index| load(&owners, index)).max().unwrap_or(0);
            let mut parts = (wanted..wanted + PARTS).map(|part| part % PARTS);
            let part = parts.find(|part| owners[*part] != newcomer && load(&owners, owners[*part]) == most);
            owners[part.expect("somebody has the most")] = newcomer;
        }
    }
    owners
}

fn load(owners: &[usize; PARTS], index: usize) -> usize {
    owners.iter().filter(|owner| **owner == index).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::MOST_INSTANCES;

    #[test]
    fn an_instance_that_comes_takes_its_share_and_nothing_else_moves() {
        for count in 1..MOST_INSTANCES {
            let (before, after) = (owners(count), owners(count + 1));
            let moved: Vec<usize> = (0..PARTS).filter(|part| before[*part] != after[*part]).collect();
            assert_eq!(moved.len(), PARTS / (count + 1), "{count}");
            assert!(moved.iter().all(|part| after[*part] == count), "{count}: {after:?}");
            let loads: Vec<usize> = (0..=count).map(|index| load(&after, index)).collect();
            let (least, most) = (loads.iter().min().expect("one"), loads.iter().max().expect("one"));
            assert!(most - least <= 1, "{count}: {loads:?}");
        }
    }

    #[test]
    fn two_share_as_their_file_says() {
        assert!(owners(2).iter().enumerate().all(|(part, owner)| *owner == usize::from(part % 2 == 0)));
    }

    #[test]
    fn the_first_clients_are_not_all_of_one_instance() {
        for count in 2..=MOST_INSTANCES {
            let owners = owners(count);
            let of_five: std::collections::BTreeSet<usize> = owners[1..=5].iter().copied().collect();
            assert!(of_five.len() >= 2.max(count.min(5) - 1), "{count}: {:?}", &owners[1..=5]);
        }
    }

    #[test]
    fn what_two_have_is_shared_out() {
        let line = "        server x max_fails=1 max_conns=100;";
        assert_eq!(of_share(line, 8), "        server x max_fails=1 max_conns=25;");
        assert_eq!(of_share(line, 3), "        server x max_fails=1 max_conns=67;");
        assert_eq!(of_share(line, 1), "        server x max_fails=1 max_conns=200;");
        assert_eq!(of_share("        keepalive 300;", 4), "        keepalive 150;");
        for line in ["        server x;", "        keepalive_timeout 60s;"] {
            assert_eq!(of_share(line, 3), line);
        }
    }

    #[test]
    fn a_file_without_an_upstream_is_refused() {
        let error = for_instances("http {}", 3).expect_err("there is none").to_string();
        assert!(error.contains("upstream guiche"), "{error}");
    }
}
