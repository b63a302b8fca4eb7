//! Where PostgreSQL's programs and the repository's SQL files are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::files::files_in;

/// Where Debian's packages put each version's programs.
const DEBIAN: &str = "/usr/lib/postgresql";

/// How the names of its SQL files end.
const SQL: Option<&str> = Some("sql");

/// Returns the directory of `initdb` and `postgres`: the one asked for, else `GUICHE_PG_BIN`, else Debian's
/// newest version, else where `PATH` has them.
pub(super) fn find_server(asked: Option<&Path>) -> Result<PathBuf> {
    let named = asked.map(Path::to_owned).or_else(|| std::env::var_os("GUICHE_PG_BIN").map(PathBuf::from));
    if let Some(bin) = named {
        ensure!(has_server(&bin), "{} has no initdb and postgres", bin.display());
        return Ok(bin);
    }
    debian_versions()
        .into_iter()
        .chain(crate::programs::directories())
        .find(|bin| has_server(bin))
        .context("PostgreSQL is not installed (Debian: apt install postgresql; or set GUICHE_PG_BIN)")
}

/// Finds `psql`: beside the server, else of Debian's newest version, else in `PATH`. Some packages of
/// the server come without it.
pub(super) fn find_psql(server: &Path) -> Result<PathBuf> {
    std::iter::once(server.to_owned())
        .chain(debian_versions())
        .chain(crate::programs::directories())
        .map(|bin| bin.join("psql"))
        .find(|psql| psql.is_file())
        .context("psql is not installed (Debian: apt install postgresql-client)")
}

/// Returns the repository's `sql/`: that of `GUICHE_ROOT`, else that of the sources this was built from.
pub(super) fn sql_dir() -> Result<PathBuf> {
    let sql = crate::repository_root().join("sql");
    ensure!(sql.is_dir(), "{} is missing (GUICHE_ROOT names the repository's directory)", sql.display());
    Ok(sql)
}

/// Returns the SQL files that make a database, in the order in which they run.
pub(super) fn sql_files(profile: settings::Profile) -> Result<Vec<PathBuf>> {
    let sql = sql_dir()?;
    let mut files = files_in(&sql, SQL)?;
    if profile == settings::Profile::Contest {
        files.extend(files_in(&sql.join("contest"), SQL)?);
    }
    if files.is_empty() {
        bail!("{} has no .sql files", sql.display());
    }
    Ok(files)
}

/// Returns the files that make a database in front of several servers.
pub(super) fn front_files() -> Result<Vec<PathBuf>> {
    files_in(&sql_dir()?.join("plproxy"), SQL)
}

/// Returns the files that make a durable database of several servers with Citus, in the order in which they run.
pub(super) fn distributed_files() -> Result<Vec<PathBuf>> {
    let mut files = sql_files(settings::Profile::Durable)?;
    files.extend(files_in(&sql_dir()?.join("citus"), SQL)?);
    files.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    Ok(files)
}

/// Makes sure that a library is there which the server is to load at its start, where Debian's packages have them.
pub(super) fn ensure_library(server: &Path, name: &str) -> Result<()> {
    let library = server.with_file_name("lib").join(format!("{name}.so"));
    ensure!(library.exists(), "{} is missing: this PostgreSQL has no {name}", library.display());
    Ok(())
}

/// Returns the file that makes the service's role and grants it what it needs; it may be run again.
pub(super) fn role_file() -> Result<PathBuf> {
    Ok(sql_dir()?.join("30-role.sql"))
}

fn has_server(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}

fn debian_versions() -> Vec<PathBuf> {
    let entries = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, bin)| bin).collect()
}
