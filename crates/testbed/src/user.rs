//! Who runs what: PostgreSQL refuses to run as root, so root hands it to another user.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::unistd::{Gid, Uid, User};

/// A user of this machine that is not root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
    passing: Gid,
}

impl Account {
    /// Returns the user that runs PostgreSQL where this process is root: the owner of `data` where that
    /// directory already exists and is not root's, else `postgres`, else `nobody`. `None` where this process
    /// is not root, and so runs everything as itself.
    ///
    /// # Errors
    /// When neither user exists.
    pub fn for_postgres(data: &Path) -> Result<Option<Account>> {
        let Some(usual) = Account::usual()? else { return Ok(None) };
        match fs::symlink_metadata(data) {
            Ok(there) if there.uid() != 0 => {
                let (uid, gid) = (Uid::from_raw(there.uid()), Gid::from_raw(there.gid()));
                Ok(Some(Account { name: format!("uid {uid}"), uid, gid, ..usual }))
            }
            _ => Ok(Some(usual)),
        }
    }

    /// Returns the user whose group passes through root's run directories: `postgres`, else `nobody`. `None` where this
    /// process is not root.
    ///
    /// # Errors
    /// When neither user exists.
    pub fn usual() -> Result<Option<Account>> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) =
                User::from_name(name).with_context(|| format!("looking up the user {name}"))?
            {
                return Ok(Some(Account {
                    name: user.name,
                    uid: user.uid,
                    gid: user.gid,
                    passing: user.gid,
                }));
            }
        }
        bail!("PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as")
    }

    /// Returns the id of the group that passes through root's run directories.
    pub fn passing_group(&self) -> u32 {
        self.passing.as_raw()
    }

    /// Returns its name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its user id.
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// Returns its group id.
    pub fn gid(&self) -> u32 {
        self.gid.as_raw()
    }
}
