//! Hostile input without a fuzzer: the corpora of `fuzz/`, and a few thousand mutations of them that are the same
//! each time. `make fuzz` goes on from there, led by coverage.

#[path = "../fuzz/src/targets/mod.rs"]
#[allow(unreachable_pub, reason = "shared with fuzz/, which exports it")]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// Mutations of each part, unless `HOSTILE_INPUTS` says another number.
const INPUTS: u64 = 3_000;

/// The longest input.
const LONGEST: usize = 8_192;

#[test]
fn bodies() {
    play("body");
}

#[test]
fn experiments() {
    play("experiment");
}

#[test]
fn heads() {
    play("head");
}

#[test]
fn keys() {
    play("key");
}

#[test]
fn paths() {
    play("path");
}

#[test]
fn traces() {
    play("trace");
}

/// Tries each input of a corpus, then what they become.
fn play(name: &str) {
    let (_, try_it) = targets::ALL.iter().find(|(known, _)| *known == name).expect("it is one of them");
    let corpus = corpus(name);
    assert!(corpus.len() > 4, "the corpus of {name} was not found");
    let inputs =
        std::env::var("HOSTILE_INPUTS").ok().map_or(INPUTS, |inputs| inputs.parse().expect("a number"));
    let mut random = fastrand::Rng::with_seed(inputs);
    let mutations = (0..inputs).map(|_| mutation(&corpus, &mut random));
    for input in corpus.iter().cloned().chain(mutations) {
        if catch_unwind(AssertUnwindSafe(|| try_it(&input))).is_err() {
            panic!("{name}: {:?}", input.escape_ascii().to_string());
        }
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("it can be read")).collect()
}

/// Returns an input with some of its bytes replaced, doubled, taken away, or put behind another's.
fn mutation(corpus: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    const WORDS: [&[u8]; 16] = [
        b"\0",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"\r\n",
        b"\n",
        b"-1",
        b"9223372036854775808",
        b"2147483648",
        b"1e999",
        b"\\ud800",
        b"\xff\xfe",
        b"%31",
        b"chunked",
    ];
    let any = |random: &mut fastrand::Rng| &corpus[random.usize(..corpus.len())];
    let mut input = any(random).clone();
    for _ in 0..random.u32(1..6) {
        let (from, to) = (random.usize(..=input.len()), random.usize(..=input.len()));
        let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 40));
        match random.u32(..7) {
            0 if from < input.len() => input[from] ^= 1 << random.u32(..8),
            1 if from < input.len() => input[from] = random.u8(..),
            2 => drop(input.splice(from..from, WORDS[random.usize(..WORDS.len())].iter().copied())),
            3 => drop(input.splice(from..to, WORDS[random.usize(..WORDS.len())].iter().copied())),
            4 => drop(input.drain(from..to)),
            5 => {
                let twice = input[from..to].to_vec();
                input.splice(from..from, twice);
            }
            _ => {
                let other = any(random);
                input.truncate(from);
                input.extend(&other[random.usize(..=other.len())..]);
            }
        }
    }
    input.truncate(LONGEST);
    input
}
