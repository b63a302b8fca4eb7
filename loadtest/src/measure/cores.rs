//! Who runs on which core: the whole stack on one, k6 on another.

use anyhow::{Context, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Two cores of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The stack's.
    pub stack: usize,
    /// k6's.
    pub k6: usize,
}

impl Cores {
    /// Returns the first two that this process may use.
    ///
    /// # Errors
    /// When there is only one.
    pub fn of_machine() -> Result<Cores> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("cannot ask which cores there are")?;
        let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
        match (cores.next(), cores.next()) {
            (Some(stack), Some(k6)) => Ok(Cores { stack, k6 }),
            _ => bail!(
                "an experiment needs two cores, one for the stack and one for k6, and there is only one: \
                 what k6 takes would be missing from the service"
            ),
        }
    }

    /// Moves a process that only watches to k6's core.
    ///
    /// # Errors
    /// When it may not be moved.
    pub fn move_aside(&self, pid: u32) -> Result<()> {
        let mut set = CpuSet::new();
        set.set(self.k6).context("no such core")?;
        let pid = Pid::from_raw(i32::try_from(pid)?);
        sched_setaffinity(pid, &set).with_context(|| format!("cannot move process {pid}"))
    }
}
