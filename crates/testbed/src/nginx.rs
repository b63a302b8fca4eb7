//! NGINX on this machine, from the same files that the containers run.

mod many;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::unistd::{Gid, Group};

use crate::http::Endpoint;
use crate::process::{Launch, Process};
use crate::programs::version_in;
use crate::user::Account;

/// The address that the files listen on.
const LISTEN: &str = "listen 9999";

/// Where the files show what NGINX counts. The copies do not: two of them on one machine would meet there.
const STATUS: &str = "server { listen 9998; stub_status; }";

/// The only directory that the files write to.
const SCRATCH: &str = "/tmp/";

/// What leaves kept connections open at a reload, which an NGINX before [`SINCE`] does not know. The files
/// include it where it is there.
const RELOAD: (&str, &str) = ("reload.conf", "keepalive_min_timeout 10ms;\n");
const SINCE: [u32; 3] = [1, 27, 4];

/// How requests are shared out between the instances: each is written as its file of `nginx/` is
/// named, without `.conf`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
    strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Balancing {
    /// To the instance with the fewest requests open.
    #[default]
    LeastConn,
    /// In turn.
    RoundRobin,
    /// By client: of two, even ids to one, odd ids to the other.
    Affinity,
    /// By connection, without looking into it.
    Layer4,
}

/// An installed NGINX, and what it needs to be told on its command line.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    directives: String,
    recent: bool,
}

impl Program {
    /// Finds NGINX, and for layer 4 the stream module where it is not built in.
    ///
    /// # Errors
    /// When either is missing; says which package has it.
    pub fn find(balancing: Balancing) -> Result<Program> {
        let path =
            crate::programs::find("nginx").context("NGINX is not installed (Debian: apt install nginx)")?;
        let built = how_built(&path)?;
        let mut directives = "daemon off;".to_owned();
        if balancing == Balancing::Layer4
            && let Some(module) = stream_module(&built)?
        {
            directives.push_str(&format!(" load_module {};", module.display()));
        }
        directives.push_str(&worker_user()?);
        Ok(Program { path, directives, recent: version(&built) >= SINCE })
    }

    /// Returns whether it knows how to leave kept connections open at a reload; one that does not cuts them.
    pub fn keeps_connections_at_reload(&self) -> bool {
        self.recent
    }

    /// Returns the launch of NGINX with a copy of `balancing`'s file, below `directory`, which listens on
    /// `port` of 127.0.0.1 and forwards to `instances`; for other than two the copy has as many.
    ///
    /// # Errors
    /// When the file cannot be read or the copy not be written.
    pub fn launch(
        &self,
        balancing: Balancing,
        directory: &Path,
        port: u16,
        instances: &[Endpoint],
    ) -> Result<Launch> {
        let original = crate::repository_root().join("nginx").join(format!("{balancing}.conf"));
        let text =
            fs::read_to_string(&original).with_context(|| format!("cannot read {}", original.display()))?;
        let scratch = directory.join("nginx");
        fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
        let text =
            render(&text, port, instances, &scratch).with_context(|| original.display().to_string())?;
        if self.recent {
            let (name, directive) = RELOAD;
            fs::write(scratch.join(name), directive).with_context(|| format!("cannot write {name}"))?;
        }
        let copy = scratch.join("nginx.conf");
        fs::write(&copy, text).with_context(|| format!("cannot write {}", copy.display()))?;
        Ok(Launch::new("nginx", &self.path, directory.join("nginx.log"))
            .args(["-e", "stderr", "-p"])
            .arg(&scratch)
            .arg("-c")
            .arg(&copy)
            .args(["-g", &self.directives]))
    }
}

/// A running NGINX.
#[derive(Debug)]
pub struct Nginx {
    launch: Launch,
    /// The master process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Nginx {
    /// Starts it. Whether it answers is asked through the whole stack.
    ///
    /// # Errors
    /// When it cannot be launched.
    pub fn start(launch: &Launch, port: u16) -> Result<Nginx> {
        let launch = launch.clone();
        Ok(Nginx { process: launch.spawn()?, launch, address: (Ipv4Addr::LOCALHOST, port).into() })
    }

    /// Returns the process ids of its workers.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn workers(&self) -> Result<Vec<i32>> {
        let master = self.process.pid().cast_signed();
        let processes = procfs::process::all_processes().context("cannot read /proc")?.flatten();
        let of_master = processes.filter(|process| process.stat().is_ok_and(|stat| stat.ppid == master));
        Ok(of_master.map(|process| process.pid).collect())
    }

    /// Starts it again where it was, once it has ended.
    ///
    /// # Errors
    /// As for [`Nginx::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.process = self.launch.spawn()?;
        Ok(())
    }
}

/// Returns the text with the addresses of one run. Each of the names must be in it: a file that no longer
/// says what is replaced here would run with the wrong address, or not at all.
fn render(text: &str, port: u16, instances: &[Endpoint], scratch: &Path) -> Result<String> {
    let listen = format!("listen 127.0.0.1:{port}");
    let scratch = format!("{}/", scratch.display());
    let text = many::for_instances(&text.replace(STATUS, ""), instances.len())?;
    // The scratch directory first: what the others put in may well be below some /tmp/ itself.
    let replacements = [(SCRATCH.to_owned(), scratch), (LISTEN.to_owned(), listen)].into_iter();
    let addresses = instances.iter().enumerate().map(|(index, one)| (many::socket(index), one.to_string()));
    replacements.chain(addresses).try_fold(text, |text, (from, to)| {
        ensure!(text.contains(&from), "{from:?} is not in it");
        Ok(text.replace(&from, &to))
    })
}

/// Returns what NGINX says of its version and of how it was built.
fn how_built(nginx: &Path) -> Result<String> {
    let output =
        Command::new(nginx).arg("-V").output().with_context(|| format!("cannot run {}", nginx.display()))?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Returns the version's three numbers; what is no number counts as 0.
fn version(built: &str) -> [u32; 3] {
    let mut numbers = version_in(built).split('.').map(|number| number.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

/// Returns the stream module's path, `None` where it is built in.
fn stream_module(built: &str) -> Result<Option<PathBuf>> {
    if built.split_whitespace().any(|option| option == "--with-stream") {
        return Ok(None);
    }
    let named = built.split_whitespace().find_map(|option| option.strip_prefix("--modules-path="));
    let directories = named.into_iter().chain(["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"]);
    let mut modules = directories.map(|directory| Path::new(directory).join("ngx_stream_module.so"));
    let module = modules.find(|path| path.is_file());
    let module =
        module.context("NGINX's stream module is not installed (Debian: apt install libnginx-mod-stream)")?;
    Ok(Some(module))
}

/// Lets the worker of root's NGINX be nobody, in the group that passes through run directories.
fn worker_user() -> Result<String> {
    let Some(account) = Account::usual()? else { return Ok(String::new()) };
    let group = Group::from_gid(Gid::from_raw(account.passing_group())).context("looking up a group")?;
    let group = group.with_context(|| format!("the group of the user {} has no name", account.name()))?;
    Ok(format!(" user nobody {};", group.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> Vec<Endpoint> {
        vec![Endpoint::Tcp(([127, 0, 0, 1], 5001).into()), Endpoint::Unix("/var/tmp/2.sock".into())]
    }

    #[test]
    fn every_file_gets_this_runs_addresses() {
        for balancing in [Balancing::LeastConn, Balancing::RoundRobin, Balancing::Affinity, Balancing::Layer4]
        {
            let file = crate::repository_root().join(format!("nginx/{balancing}.conf"));
            let text = fs::read_to_string(file).expect("it is in the repository");
            assert_eq!(text.contains(STATUS), balancing != Balancing::Layer4, "{balancing}");
            let text = render(&text, 7777, &endpoints(), Path::new("/run/x")).expect("it has the names");
            assert!(text.contains("listen 127.0.0.1:7777 "), "{text}");
            assert!(
                text.contains("server 127.0.0.1:5001 ") && text.contains("server unix:/var/tmp/2.sock "),
                "{text}"
            );
            assert!(text.contains("pid /run/x/nginx.pid;") && !text.contains(" /tmp/"), "{text}");
            assert!(!text.contains("/run/guiche/") && !text.contains("9998"), "{text}");
        }
    }

    #[test]
    fn versions_are_told_apart() {
        for (built, recent) in [
            ("nginx version: nginx/1.22.1\nbuilt with OpenSSL", false),
            ("nginx version: nginx/1.27.3", false),
            ("nginx version: nginx/1.27.4 (Debian)\n", true),
            ("nginx version: nginx/1.30.0", true),
            ("nginx version: nginx/2.0", true),
            ("something else", false),
        ] {
            assert_eq!(version(built) >= SINCE, recent, "{built}");
        }
    }

    #[test]
    fn every_file_is_made_for_any_number() {
        let files = ["least_conn", "round_robin", "affinity", "layer4"];
        for (file, count) in files.into_iter().flat_map(|file| [1, 3, 16].map(|count| (file, count))) {
            let path = crate::repository_root().join(format!("nginx/{file}.conf"));
            let text = fs::read_to_string(path).expect("it is in the repository");
            let endpoint = |index| Endpoint::Unix(format!("/x/{index}.sock").into());
            let endpoints: Vec<Endpoint> = (0..count).map(endpoint).collect();
            let text = render(&text, 7777, &endpoints, Path::new("/run/x")).expect("it has the names");
            // Each instance takes part once by itself, and as a backup once or, by affinity, for each.
            for one in 0..count {
                let server = format!("server unix:/x/{one}.sock ");
                let lines: Vec<&str> = text.lines().filter(|line| line.contains(&server)).collect();
                let backups = lines.iter().filter(|line| line.ends_with("backup;")).count();
                let expected = if file == "affinity" { (1, count) } else { (1, 1) };
                assert_eq!((lines.len() - backups, backups), expected, "{file}, {count}: {lines:?}");
            }
            assert!(!text.contains("/run/guiche/"), "{file}, {count}");
        }
    }

    #[test]
    fn a_file_without_the_names_is_refused() {
        let error = render("pid /tmp/nginx.pid; listen 9999", 1, &endpoints(), Path::new("/x"))
            .expect_err("no upstreams");
        assert!(error.to_string().contains("webapi1-guiche.sock"), "{error}");
    }
}
