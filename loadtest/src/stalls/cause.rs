//! What an answer may wait for.

use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator;

/// What was waited for. The first ones are seen by looking on, see [`watch`](super::watch); the last
/// ones are only told by the instances (`Server-Timing`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A row that another held.
    #[strum(to_string = "the row")]
    Row,
    /// The log: to be written, to be synced.
    #[strum(to_string = "the commit")]
    Commit,
    /// Anything else in PostgreSQL that has a name there.
    #[strum(to_string = "something else in PostgreSQL")]
    Inside,
    /// Work of the database, or CPU for it.
    #[strum(to_string = "the database’s work")]
    Work,
    /// PostgreSQL answered nobody, this program's own question neither.
    #[strum(to_string = "PostgreSQL, which stood still")]
    Silence,
    /// The quota of the first instance.
    #[strum(to_string = "the first instance’s CPU slice")]
    SliceOfApi1,
    /// The quota of the second one.
    #[strum(to_string = "the second instance’s CPU slice")]
    SliceOfApi2,
    /// The quota of the load balancer.
    #[strum(to_string = "NGINX’s CPU slice")]
    SliceOfNginx,
    /// The quota of the database.
    #[strum(to_string = "PostgreSQL’s CPU slice")]
    SliceOfDatabase,
    /// The machine's disk.
    #[strum(to_string = "the disk")]
    Disk,
    /// A CPU of the machine.
    #[strum(to_string = "a CPU")]
    Cpu,
    /// Memory of the machine.
    #[strum(to_string = "memory")]
    Memory,
    /// A CPU that the hypervisor had given to others.
    #[strum(to_string = "the hypervisor")]
    Steal,
    /// The machine as a whole: what looks at it did not run either.
    #[strum(to_string = "the machine, which stood still")]
    Asleep,
    /// The client's queue in the instance.
    #[strum(to_string = "the mailbox")]
    Mailbox,
    /// A connection to the database.
    #[strum(to_string = "a connection")]
    Connection,
    /// The rest of the call: its way, PostgreSQL's own queue, the commit.
    #[strum(to_string = "the call’s way and its commit")]
    Call,
    /// Whatever is not inside an instance: NGINX, its queue, the load generator.
    #[strum(to_string = "NGINX’s queue, or the way to it")]
    Outside,
}

impl Cause {
    /// Returns those that can be seen by looking on.
    pub fn seen() -> impl Iterator<Item = Cause> {
        Cause::iter().take_while(|cause| *cause != Cause::Mailbox)
    }

    /// Whether the database's sessions show it, and not the machine.
    pub fn is_of_sessions(self) -> bool {
        matches!(self, Cause::Row | Cause::Commit | Cause::Inside | Cause::Work | Cause::Silence)
    }

    /// Says what was seen of it in a stall: the share of `ms` milliseconds in which it held, and in how many of
    /// all looks.
    pub(super) fn evidence(self, held: f64, usual: f64, ms: f64, (hits, all): (usize, usize)) -> String {
        let looks = |what: &str| format!("{hits} of {all} looks had a session {what}");
        let time = |what: &str| format!("{what} {:.0} of {ms:.0} ms", held * ms);
        let pressure =
            |what: &str| format!("{what} pressure {:.0} %, usually {:.0} %", held * 100.0, usual * 100.0);
        match self {
            Cause::Row => looks("waiting for a row lock"),
            Cause::Commit => looks("waiting for the log"),
            Cause::Inside => looks("in another wait"),
            Cause::Work => looks("at work"),
            Cause::Silence => time("no answer to a look for"),
            Cause::Disk => pressure("disk"),
            Cause::Cpu => pressure("CPU"),
            Cause::Memory => pressure("memory"),
            Cause::Steal => time("stolen"),
            Cause::Asleep => time("even the watch was late by"),
            _ => time("throttled for"),
        }
    }
}
