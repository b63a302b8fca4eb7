//! The part of the command line that says which stack to start.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

use testbed::cluster::ClusterOptions;
use testbed::nginx::Balancing;
use testbed::signals::interrupted;
use testbed::split::{CPU_BUDGET, Split};
use testbed::stack::{Progress, StackOptions, Transport};
use testbed::{Mode, Profile, Running, Topology};

/// Which stack to start.
#[derive(Clone, Debug, clap::Args)]
pub struct StackArgs {
    /// What the services run in
    #[arg(long = "stack", value_enum, default_value_t)]
    pub topology: Topology,

    /// How transactions reach the database
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,

    /// What a commit promises: durable survives a crash, contest does not
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,

    /// How NGINX shares requests out between the two instances
    #[arg(long, value_enum, default_value_t)]
    pub balancing: Balancing,

    /// Enforce the contest's CPU and memory limits with cgroups, where that is permitted
    #[arg(long)]
    pub envelope: bool,

    /// CPUs for instance/instance/nginx/postgres, enforced with --envelope
    #[arg(long, default_value_t, value_name = "A/A/N/P")]
    pub cpus: Split,

    /// Allow --cpus to be more than the contest's 1.5 in total
    #[arg(long)]
    pub over: bool,

    /// The port of NGINX on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 9999)]
    pub port: u16,

    /// How NGINX reaches the instances
    #[arg(long, value_enum, default_value_t)]
    pub transport: Transport,

    /// Keep the database in this directory, made if it is missing, and use what is there
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Leave the run directory with its logs and data behind
    #[arg(long)]
    pub keep: bool,

    /// A setting of the service, such as BATCH_MAX=64; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub env: Vec<(String, String)>,

    /// The service's program [default: the one beside this, else target/release/guiche]
    #[arg(long, value_name = "FILE")]
    pub guiche: Option<PathBuf>,

    /// The directory of PostgreSQL's programs [default: the newest of /usr/lib/postgresql/*/bin]
    #[arg(long, value_name = "DIR")]
    pub pg_bin: Option<PathBuf>,
}

impl StackArgs {
    /// Returns what they ask for, in a run directory that does not exist yet.
    ///
    /// # Errors
    /// When the split is over the contest's budget and `--over` is not given, and when containers are asked
    /// for what only a native stack has.
    pub fn options(&self) -> Result<StackOptions> {
        let total = self.cpus.total();
        ensure!(
            self.over || !self.cpus.is_over_budget(),
            "--cpus {} is {total:.2} CPUs; the contest allows {CPU_BUDGET} (--over goes beyond)",
            self.cpus
        );
        if self.topology == Topology::Docker {
            for (name, given) in [
                ("--transport", self.transport != Transport::default()),
                ("--data", self.data.is_some()),
                ("--keep", self.keep),
                ("--guiche", self.guiche.is_some()),
                ("--pg-bin", self.pg_bin.is_some()),
            ] {
                ensure!(!given, "{name} does not go with --stack docker");
            }
            ensure!(self.port != 0, "--stack docker needs a --port");
        }
        let pg =
            ClusterOptions { bin: self.pg_bin.clone(), data: self.data.clone(), ..ClusterOptions::default() };
        Ok(StackOptions {
            mode: self.mode,
            profile: self.profile,
            balancing: self.balancing,
            split: self.cpus,
            envelope: self.envelope,
            port: self.port,
            transport: self.transport,
            api_env: self.env.clone(),
            pg,
            guiche: self.guiche.clone(),
            keep: self.keep,
            ..StackOptions::default()
        })
    }

    /// Starts it, and tells each step to `progress`.
    ///
    /// # Errors
    /// When it does not start, or was interrupted.
    pub async fn start(&self, progress: Progress<'_>) -> Result<Running> {
        tokio::select! {
            running = Running::start(self.topology, self.options()?, progress) => running,
            signal = interrupted() => {
                bail!("stopped by {signal} before it was ready; nothing is left running")
            }
        }
    }
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it has the form NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        stack: StackArgs,
    }

    fn parse(line: &str) -> Result<StackOptions, String> {
        let words = std::iter::once("loadtest").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        cli.stack.options().map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read() {
        let options = parse("--mode direct --profile contest --balancing layer4 --cpus 0.25/0.25/0.30/0.70 --envelope --port 0 --transport tcp --env BATCH_MAX=64 --env X=a=b")
            .expect("they are right");
        assert_eq!((options.mode, options.profile), (Mode::Direct, Profile::Contest));
        assert_eq!((options.balancing, options.transport), (Balancing::Layer4, Transport::Tcp));
        assert_eq!(options.split, Split { api: 0.25, nginx: 0.3, postgres: 0.7 });
        assert_eq!((options.envelope, options.port), (true, 0));
        assert_eq!(options.api_env, [("BATCH_MAX".into(), "64".into()), ("X".into(), "a=b".into())]);
    }

    #[test]
    fn containers_take_what_they_can() {
        let docker = |line: &str| {
            let words = std::iter::once("loadtest").chain(line.split_whitespace());
            let cli = Cli::try_parse_from(words).expect("it parses");
            (cli.stack.topology, cli.stack.options().map_err(|error| error.to_string()))
        };
        let (kind, options) = docker("--stack docker --mode serial --balancing affinity --port 1234");
        let options = options.expect("they are right");
        assert_eq!((kind, options.mode, options.port), (Topology::Docker, Mode::Serial, 1234));
        let (_, refused) = docker("--stack docker --transport tcp");
        assert_eq!(refused.expect_err("no such thing"), "--transport does not go with --stack docker");
    }

    #[test]
    fn mistakes_are_named() {
        for (line, says) in [
            ("--cpus 0.4/0.4/0.2/0.6", "is 1.60 CPUs; the contest allows 1.5"),
            ("--cpus 0.4/0.2/0.5", "3 shares where four are needed"),
            ("--mode fast", "possible values: direct, serial, batched"),
            ("--balancing ip_hash", "possible values: least_conn, round_robin, affinity, layer4"),
            ("--port 70000", "70000 is not in 0..=65535"),
            ("--env BATCH_MAX", "it has the form NAME=VALUE"),
        ] {
            let error = parse(line).err().unwrap_or_default();
            assert!(error.contains(says), "{line}: {error}");
        }
        parse("--cpus 0.4/0.4/0.2/0.6 --over").expect("it is asked for");
    }
}
