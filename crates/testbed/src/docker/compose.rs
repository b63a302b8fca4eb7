//! One project of Docker Compose.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// What the Docker programs need of this process's environment. Nothing else is taken over: a
/// `MODE` that happens to be set in a user's shell must not change a measurement.
const INHERITED: [&str; 9] = [
    "PATH",
    "HOME",
    "XDG_RUNTIME_DIR",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "SSL_CERT_FILE",
];

/// Removes a project with its volumes and what only `run` has started.
const REMOVE: [&str; 5] = ["--profile", "*", "down", "--volumes", "--remove-orphans"];

/// How much of what a failed command wrote is shown, in lines.
const SHOWN_LINES: usize = 20;

/// Returns why containers cannot be run here, or `None` when they can.
pub async fn unavailable() -> Option<String> {
    let questions: [&[&str]; 2] =
        [&["info", "--format", "{{.ServerVersion}}"], &["compose", "version", "--short"]];
    for question in questions {
        if let Err(error) = docker(question).await {
            return Some(format!("{error:#}"));
        }
    }
    None
}

/// Runs `docker` with these arguments and returns what it wrote.
///
/// # Errors
/// When it cannot be run or fails; the error ends with what it said.
pub async fn docker(args: &[&str]) -> Result<String> {
    let mut command = clean("docker");
    command.args(args);
    finished(command, &format!("docker {}", args.join(" "))).await
}

/// A project: its name, its files and its variables.
#[derive(Clone, Debug)]
pub struct Compose {
    project: String,
    files: Vec<PathBuf>,
    variables: Vec<(String, String)>,
}

impl Compose {
    /// Returns the files of `compose/` with these names, the later ones laid over the earlier.
    pub fn new(project: impl Into<String>, files: &[&str]) -> Self {
        let directory = crate::repository_root().join("compose");
        let files = files.iter().map(|name| directory.join(name)).collect();
        Compose { project: project.into(), files, variables: Vec::new() }
    }

    /// Sets a variable of the files; of one that is set twice the last value counts.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Returns the project's name.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Runs `docker compose` with these arguments and returns what it wrote.
    ///
    /// # Errors
    /// When it cannot be run or fails; the error ends with what it said.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        finished(self.command(args), &format!("docker compose {}", args.join(" "))).await
    }

    /// Removes the project with its volumes, whatever state it is in.
    ///
    /// # Errors
    /// As [`Compose::run`].
    pub async fn remove(&self) -> Result<()> {
        self.run(&REMOVE).await.map(drop)
    }

    /// Does [`Compose::remove`] for a destructor: waits for it, and has nobody to tell of a failure.
    pub fn remove_now(&self) {
        let mut command = self.command(&REMOVE).into_std();
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// Returns the id of a service's container.
    ///
    /// # Errors
    /// When it has none.
    pub async fn container(&self, service: &str) -> Result<String> {
        let ids = self.run(&["ps", "--all", "--quiet", service]).await?;
        let id = ids.lines().next().map(str::trim).filter(|id| !id.is_empty());
        id.map(str::to_owned).with_context(|| format!("{service} has no container"))
    }

    /// Returns where this machine reaches a service's port, as `127.0.0.1:49153`.
    ///
    /// # Errors
    /// When it is not published.
    pub async fn address(&self, service: &str, port: u16) -> Result<String> {
        let bound = self.run(&["port", service, &port.to_string()]).await?;
        let (_, number) =
            bound.trim().rsplit_once(':').with_context(|| format!("{service}:{port} is not published"))?;
        Ok(format!("127.0.0.1:{number}"))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = clean("docker");
        // What the files say is what runs: no .env of a user's.
        command.args(["compose", "--env-file", "/dev/null", "--project-name", &self.project]);
        for file in &self.files {
            command.arg("--file").arg(file);
        }
        command.args(args).envs(self.variables.iter().cloned());
        command
    }
}

fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("BUILDKIT_PROGRESS", "plain").stdin(Stdio::null()).kill_on_drop(true);
    command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command
}

async fn finished(mut command: Command, what: &str) -> Result<String> {
    let Output { status, stdout, stderr } =
        command.output().await.with_context(|| format!("cannot run {what}: is Docker installed?"))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = [stdout, stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    bail!("{what} failed:\n    {}", lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n    "))
}
