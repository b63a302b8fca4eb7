//! What a server needs before it starts: its directories, the data, its settings.

use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, lchown};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Cluster, SUPERUSER, TOOL_DEADLINE, install};
use crate::process::Launch;
use crate::user::Account;

impl Cluster {
    /// Makes what the server needs, and writes its settings anew.
    pub(super) async fn prepare(&self) -> Result<()> {
        for directory in [&self.socket_dir(), &self.data] {
            refuse_link(directory)?;
            if !directory.exists() {
                let above = directory.parent().map_or(Ok(()), fs::create_dir_all);
                above
                    .and_then(|()| DirBuilder::new().mode(0o700).create(directory))
                    .with_context(|| format!("cannot make {}", directory.display()))?;
                self.hand_over(directory)?;
            }
        }
        if !self.data.join("PG_VERSION").exists() {
            match &self.options.primary {
                Some(primary) => self.follow(primary).await?,
                None => self.initialize().await?,
            }
        }
        self.write_file("guiche.conf", &self.settings()?)?;
        let replicas = "local replication all trust\n";
        self.write_file(
            "pg_hba.conf",
            &format!("{replicas}local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"),
        )
    }

    async fn initialize(&self) -> Result<()> {
        let empty = fs::read_dir(&self.data)
            .with_context(|| format!("cannot read {}", self.data.display()))?
            .next()
            .is_none();
        ensure!(empty, "{} is neither empty nor a PostgreSQL data directory", self.data.display());
        let log = self.directory.join("initdb.log");
        Launch::new("initdb", self.bin.join("initdb"), log)
            .args([
                "-U",
                SUPERUSER,
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
                "--no-instructions",
                "-D",
            ])
            .arg(&self.data)
            .env("LC_ALL", "C")
            .account(self.account.clone())
            .run(TOOL_DEADLINE)
            .await
            .with_context(|| self.reach_hint())?;
        let conf = self.data.join("postgresql.conf");
        let text = fs::read_to_string(&conf).with_context(|| format!("cannot read {}", conf.display()))?;
        self.write_file("postgresql.conf", &format!("{text}\ninclude 'guiche.conf'\n"))
    }

    async fn follow(&self, primary: &str) -> Result<()> {
        Launch::new("pg_basebackup", self.bin.join("pg_basebackup"), self.directory.join("pg_basebackup.log"))
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"])
            .arg(&self.data)
            .args(["-d", primary])
            .account(self.account.clone())
            .run(TOOL_DEADLINE)
            .await
    }

    /// Returns the profile's settings, then where to listen, then the caller's own. The file is a copy,
    /// because the user that runs the server may not be able to read the repository.
    fn settings(&self) -> Result<String> {
        let file = install::sql_dir()?.join("settings").join(format!("{}.conf", self.options.profile));
        let mut text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let socket_dir = self.socket_dir();
        text.push_str(&format!("\nlisten_addresses = '127.0.0.1'\nport = {}\n", self.port));
        text.push_str(&format!("unix_socket_directories = '{}'\n", socket_dir.display()));
        for (name, value) in &self.options.settings {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        Ok(text)
    }

    /// Writes a file of the server's directory, which may be somebody else's while this is root: a link in its place is
    /// refused, and what takes its place meanwhile is replaced, not followed.
    fn write_file(&self, name: &str, text: &str) -> Result<()> {
        let (path, new) = (self.data.join(name), self.data.join(format!("{name}.new")));
        refuse_link(&path)?;
        let _ = fs::remove_file(&new);
        File::create_new(&new)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", new.display()))?;
        self.hand_over(&new)?;
        fs::rename(&new, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Gives a file or directory to the user that runs the server; a link is given, not what it leads to.
    pub(super) fn hand_over(&self, path: &Path) -> Result<()> {
        let Some(account) = &self.account else { return Ok(()) };
        lchown(path, Some(account.uid()), Some(account.gid()))
            .with_context(|| format!("cannot give {} to {}", path.display(), account.name()))
    }

    fn reach_hint(&self) -> String {
        let name = self.account.as_ref().map_or("this user", Account::name);
        format!(
            "is {} a directory that {name} can reach, and {} too?",
            self.data.display(),
            self.bin.display()
        )
    }
}

fn refuse_link(path: &Path) -> Result<()> {
    ensure!(
        !path.is_symlink(),
        "{} is a symbolic link, which is not followed; name or put there what it leads to",
        path.display()
    );
    Ok(())
}
