//! The part of the command line that says which stack to start.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Error, Result, anyhow, bail, ensure};

use crate::lock::Machine;
use crate::watch::{Watch, WatchArgs};
use testbed::settings;
use testbed::signals::interrupted;
use testbed::split::CPU_BUDGET;
use testbed::stack::{Progress, StackOptions};
use testbed::{Running, Topology};

/// Which stack to start.
#[derive(Clone, Debug, clap::Args)]
pub struct StackArgs {
    /// What the services run in.
    #[arg(long = "stack", value_enum, default_value_t)]
    pub topology: Topology,

    /// How they are set up.
    #[command(flatten)]
    pub stack: StackOptions,

    /// Allow --cpus to be more than the contest's 1.5 in total.
    #[arg(long)]
    pub over: bool,

    /// Whether it can be watched.
    #[command(flatten)]
    pub watch: WatchArgs,
}

/// With what a measurement is compared.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AgainstArgs {
    /// Compare with an earlier result, case by case while it runs, as `loadtest compare` does: a report's directory, one
    /// that has a directory for each experiment, or a results.json.
    #[arg(long, value_name = "DIR|FILE")]
    pub against: Option<PathBuf>,
}

/// How often and how long a measurement loads, where it is not what is declared.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct LengthArgs {
    /// A glance: one round of short runs.
    #[arg(long)]
    pub quick: bool,

    /// Rounds [default: what is declared].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,

    /// Seconds that are measured in each run [default: what is declared; at the contest's rate 30].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: Option<u32>,

    /// Seconds of load before that [default: what is declared; at the contest's rate 4].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub warm_up: Option<u32>,

    /// Go on where an earlier call with the same arguments was stopped, or has failures; with more --rounds, add those.
    #[arg(long)]
    pub resume: bool,
}

impl StackArgs {
    /// Returns what they ask for.
    ///
    /// # Errors
    /// When the split is over the contest's budget and `--over` is not given, and when containers are asked
    /// for what only a native stack has.
    pub fn options(&self) -> Result<StackOptions> {
        let stack = &self.stack;
        let total = stack.split.total();
        ensure!(
            self.over || !stack.split.is_over_budget(),
            "--cpus {} is {total:.2} CPUs; the contest allows {CPU_BUDGET} (--over goes beyond)",
            stack.split
        );
        if self.topology == Topology::Docker {
            let default = StackOptions::default();
            for (name, given) in [
                ("--transport", stack.transport != default.transport),
                ("--data", stack.pg.data.is_some()),
                ("--keep", stack.keep),
                ("--guiche", stack.guiche.is_some()),
                ("--pg-bin", stack.pg.bin.is_some()),
                ("--instances", stack.instances != default.instances),
                ("--clients", stack.clients != default.clients),
                ("--history", stack.history != default.history),
                ("--watch", self.watch.watch.is_some()),
                ("--shards", stack.shards.is_some()),
            ] {
                ensure!(!given, "{name} does not go with --stack docker");
            }
            ensure!(stack.port != 0, "--stack docker needs a --port");
        }
        if stack.guiche.is_none() {
            let check = |(name, value): &(String, String)| settings::check(name, value);
            stack.api_env.iter().try_for_each(check).map_err(Error::msg)?;
        }
        let traced = stack.api_env.iter().any(|(name, _)| name == "TRACE");
        ensure!(
            !traced || self.watch.watch.is_none(),
            "--watch says itself where traces go: leave out TRACE"
        );
        Ok(stack.clone())
    }

    /// Returns them with what `--watch` asks for, and the page, which is served from now on.
    ///
    /// # Errors
    /// When the options are wrong, or it cannot be served.
    pub async fn watched(&self, say: &dyn Fn(&str)) -> Result<(StackArgs, Option<Watch>)> {
        let mut args = StackArgs { stack: self.options()?, watch: WatchArgs::default(), ..self.clone() };
        let watch = self.watch.start(args.stack.guiche.as_deref(), None, say).await?;
        args.stack.api_env.extend(watch.as_ref().map(Watch::setting));
        Ok((args, watch))
    }

    /// Starts it for `what`, plays on it and stops it again, whatever came of it; each step is told. The settings of the
    /// instances in `env` hold where the command line has no others.
    ///
    /// # Errors
    /// When somebody measures, it does not start or stay, it was interrupted, or `play` fails.
    pub async fn play_on<T>(
        &self,
        what: &str,
        env: &[(&str, &str)],
        play: impl AsyncFnOnce(&Running, &dyn Fn(&str)) -> Result<T>,
    ) -> Result<T> {
        let begin = Instant::now();
        let say = |step: &str| out!("{:6.1} s  {step}", begin.elapsed().as_secs_f64());
        let _machine = Machine::take(what)?;
        let (mut args, _watch) = self.watched(&say).await?;
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        args.stack.api_env.splice(..0, env);
        let running = args.start(&say).await?;
        let played = tokio::select! {
            played = play(&running, &say) => played,
            (_, error) = running.ended() => Err(error.context(format!("a part of the stack ended during {what}"))),
            signal = interrupted() => Err(anyhow!("stopped by {signal}")),
        };
        say("stopping");
        running.stop_after(what, played).await
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

#[cfg(test)]
mod tests {
    use clap::Parser;
    use testbed::{Balancing, Mode, Profile, Split, Transport};

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
        let options = parse("--mode direct --profile contest --balancing layer4 --cpus 0.25/0.25/0.30/0.70 --envelope --port 0 --transport tcp --env BATCH_MAX=64 --env INSTANCE=a=b")
            .expect("they are right");
        assert_eq!((options.mode, options.profile), (Mode::Direct, Profile::Contest));
        assert_eq!((options.balancing, options.transport), (Balancing::Layer4, Transport::Tcp));
        assert_eq!(options.split, Split { api: 0.25, nginx: 0.3, postgres: 0.7 });
        assert_eq!((options.envelope, options.port), (true, 0));
        assert_eq!(options.api_env, [("BATCH_MAX".into(), "64".into()), ("INSTANCE".into(), "a=b".into())]);
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
            ("--env BATCHMAX=4", "BATCHMAX is no setting of the service; there are LISTEN, "),
            ("--env BATCH_MAX", "it has the form NAME=VALUE"),
        ] {
            let error = parse(line).err().unwrap_or_default();
            assert!(error.contains(says), "{line}: {error}");
        }
        parse("--cpus 0.4/0.4/0.2/0.6 --over").expect("it is asked for");
    }
}
