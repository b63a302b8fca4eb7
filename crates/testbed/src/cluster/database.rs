//! Databases of a private cluster. The SQL files run once, into a template; each database is a
//! copy of it, which takes milliseconds.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use settings::{PLANNED, session_options};

use super::{Cluster, SUPERUSER, TOOL_DEADLINE, connect, install};
use crate::process::Launch;

/// What the sessions of a front on its servers start with, beside how they plan: how long a call may take there, and
/// wait for a row, in milliseconds.
const SHARD_TIMEOUTS: [(&str, &str); 2] = [("statement_timeout", "5000"), ("lock_timeout", "2250")];

impl Cluster {
    /// Makes a database from the files of `sql/`, for the cluster's profile.
    ///
    /// # Errors
    /// When `name` is not a lower-case word, when the database exists, or when a file fails; the
    /// error shows what `psql` said.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let template = self.template().await?;
        self.admin(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        // What is granted on a database itself is not part of its copy.
        self.psql(name, &install::role_file()?).await
    }

    /// Tells a database which of how many it is, behind one that is made with [`Cluster::create_front`].
    ///
    /// # Errors
    /// As for [`Cluster::create_database`].
    pub async fn be_part(&self, name: &str, number: usize, of: usize) -> Result<()> {
        check_name(name)?;
        self.admin(&format!("ALTER DATABASE {name} SET guiche.parte = '{number}/{of}'")).await
    }

    /// Makes a database that sends each call on to one of several servers with PL/Proxy. `shards` says how each is
    /// connected to, apart from the user, who is let in without a password; there is a power of two of them.
    ///
    /// # Errors
    /// As for [`Cluster::create_database`], and when PL/Proxy is not installed.
    pub async fn create_front(&self, name: &str, shards: &[String]) -> Result<()> {
        check_name(name)?;
        ensure!(shards.len().is_power_of_two(), "PL/Proxy takes 1, 2, 4, 8 … servers, not {}", shards.len());
        self.ensure_extension("plproxy", "Debian: apt install postgresql-15-plproxy, for version 15").await?;
        self.admin(&format!("CREATE DATABASE {name}")).await?;
        for file in install::front_files()?.into_iter().chain([install::role_file()?]) {
            self.psql(name, &file).await?;
        }
        let options = session_options(PLANNED.iter().chain(&SHARD_TIMEOUTS));
        let servers = shards
            .iter()
            .enumerate()
            .map(|(number, shard)| format!("p{number} '{shard} options=''{options}'''"));
        let sql = format!(
            "CREATE SERVER rinha FOREIGN DATA WRAPPER plproxy OPTIONS ({});
             CREATE USER MAPPING FOR PUBLIC SERVER rinha OPTIONS (user 'guiche');
             CREATE USER MAPPING FOR {SUPERUSER} SERVER rinha OPTIONS (user '{SUPERUSER}');
             GRANT USAGE ON FOREIGN SERVER rinha TO guiche",
            servers.collect::<Vec<_>>().join(", ")
        );
        let client = connect(&self.admin_url(name)).await?;
        client.batch_execute(&sql).await.context("cannot say where the servers are")
    }

    /// Makes a database whose clients are on these workers, with Citus, which this server and they have loaded.
    ///
    /// # Errors
    /// As for [`Cluster::create_database`].
    pub async fn create_coordinator(&self, name: &str, workers: &[Cluster]) -> Result<()> {
        check_name(name)?;
        self.add_node(name, self, "citus_set_coordinator_host").await?;
        for worker in workers {
            self.add_worker(name, worker).await?;
        }
        for file in install::distributed_files()? {
            self.psql(name, &file).await?;
        }
        Ok(())
    }

    /// Adds a worker, which has no database of that name yet, to a coordinator's. It gets tables and functions, and
    /// clients once some are moved there.
    ///
    /// # Errors
    /// As for [`Cluster::create_coordinator`].
    pub async fn add_worker(&self, name: &str, worker: &Cluster) -> Result<()> {
        self.add_node(name, worker, "citus_add_node").await
    }

    async fn add_node(&self, name: &str, node: &Cluster, function: &str) -> Result<()> {
        node.admin(&format!("CREATE DATABASE {name}")).await?;
        let client = connect(&node.admin_url(name)).await?;
        client.batch_execute("CREATE EXTENSION citus").await.context("there is no Citus")?;
        // A node reaches itself, too, where no password is asked for.
        let socket_dir = node.socket_dir();
        node.admin(&format!("ALTER SYSTEM SET citus.local_hostname = '{}'", socket_dir.display())).await?;
        node.admin("SELECT pg_reload_conf()").await?;
        let client = connect(&self.admin_url(name)).await?;
        let sql = format!("SELECT {function}('{}', {})", socket_dir.display(), node.port);
        client.batch_execute(&sql).await.with_context(|| sql)
    }

    /// Makes sure that an extension of PostgreSQL is installed; `remedy` says how else.
    ///
    /// # Errors
    /// When it is not.
    pub async fn ensure_extension(&self, name: &str, remedy: &str) -> Result<()> {
        let client = connect(&self.admin_url("postgres")).await?;
        let sql = "SELECT FROM pg_available_extensions WHERE name = $1";
        let found = client.query_opt(sql, &[&name]).await?;
        ensure!(found.is_some(), "the PostgreSQL of {} has no {name} ({remedy})", self.bin.display());
        Ok(())
    }

    /// Drops a database, whoever is connected to it.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.admin(&format!("DROP DATABASE {name} WITH (FORCE)")).await
    }

    /// Returns whether there is a database of that name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn has_database(&self, name: &str) -> Result<bool> {
        let client = connect(&self.admin_url("postgres")).await?;
        let row = client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&name]).await?;
        Ok(row.is_some())
    }

    /// Returns the template's name, after making sure that it exists.
    async fn template(&self) -> Result<String> {
        let name = format!("guiche_template_{}", self.options.profile);
        let mut made = self.template.lock().await;
        if !*made {
            // It may be there from an earlier start on this data, and older than the files.
            let building = format!("{name}_building");
            for stale in [&building, &name] {
                self.admin(&format!("DROP DATABASE IF EXISTS {stale}")).await?;
            }
            self.admin(&format!("CREATE DATABASE {building}")).await?;
            for file in install::sql_files(self.options.profile)? {
                self.psql(&building, &file).await?;
            }
            self.admin(&format!("ALTER DATABASE {building} RENAME TO {name}")).await?;
            *made = true;
        }
        Ok(name)
    }

    async fn psql(&self, database: &str, file: &Path) -> Result<()> {
        let name = format!("psql -f {}", file.display());
        Launch::new(name, &self.psql, self.directory.join("psql.log"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &self.admin_url(database), "-f"])
            .arg(file)
            .run(TOOL_DEADLINE)
            .await
    }

    async fn admin(&self, sql: &str) -> Result<()> {
        let client = connect(&self.admin_url("postgres")).await?;
        client.batch_execute(sql).await.with_context(|| sql.to_owned())
    }
}

/// Names go into SQL as they are: only what needs no quoting is let through.
fn check_name(name: &str) -> Result<()> {
    let word = !name.is_empty()
        && name.len() < 64
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.as_bytes()[0].is_ascii_digit();
    ensure!(
        word,
        "{name:?} is no name for a database: lower-case letters, digits and underscores, at most 63"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_lower_case_word() {
        for good in ["rinha", "test_1", "_x"] {
            check_name(good).expect(good);
        }
        for bad in ["", "Rinha", "1st", "a-b", "a b", "a;b", "a\"", &"x".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
