//! The trace format: JSON Lines, each line one object with one member, which names its kind.
//!
//! ```json
//! {"trace":{"version":1,"program":"guiche 0.1.0","instance":"api1","mode":"batched","started":1717243200000000,"part":0}}
//! {"actor":{"client":1,"at":1717243201000100,"state":"activated"}}
//! {"request":{"id":"5e…","client":1,"kind":"debit","at":1717243201000090,"queued":812,"flush":7,"outcome":"applied","status":200,"took":2345}}
//! {"flush":{"id":7,"at":1717243201000950,"cut":"queue_empty","carries":[[1,3,0],[2,0,1]],"oldest_wait":812,"connection":9,"lock_wait":310,"work":420,"locks":{"at":1717243201000990,"oldest":740,"session":555,"ids":[742],"rows":[[1,740,0],[2,736,739]]},"database":1380,"total":1394,"throttled":500,"queries":1,"applied":3}}
//! {"dropped":{"at":1717243202000000,"count":17,"since":1717243201900000,"why":"queue_full"}}
//! {"end":{"at":1717243209000000,"dropped":17}}
//! ```
//!
//! - The first line of every file is its [`Header`]; a file without one is no trace.
//! - `at` and `started` are microseconds since the Unix epoch by the machine's clock, so the traces
//!   of one machine's instances lie on one axis. All else in time is a duration in microseconds,
//!   measured by a clock that never steps.
//! - A line is written when what it tells of is over: lines are in order of their ends, roughly.
//!   A request may stand before or after its call, which has the same number within the instance.
//! - What is absent did not happen or is not known; counts that are absent are zero.
//! - Readers take members that they do not know. A new kind of line, or another meaning of a
//!   member, is a new [`VERSION`].
//! - A file that does not end with [`End`] was rotated away, is still written, or its process died.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::locks::is_zero;
pub use super::locks::{Locks, Xid};
pub use super::report::{CallReport, Figure, Unit};

/// The version of the format that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line<'a> {
    /// What the file is; its first line.
    Trace(#[serde(borrow)] Header<'a>),
    /// A request, once it is answered or its caller has gone.
    Request(#[serde(borrow)] RequestRecord<'a>),
    /// A call to the database, once everybody in it is answered.
    #[serde(rename = "flush")]
    Call(#[serde(borrow)] CallRecord<'a>),
    /// Something that happened to a client's actor.
    Actor(#[serde(borrow)] ActorChange<'a>),
    /// Lines that are missing here: the writer could not keep up, or could not write.
    Dropped(Dropped),
    /// The instance has stopped in good order.
    End(End),
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header<'a> {
    /// The format's version.
    pub version: u32,
    /// What wrote it.
    #[serde(borrow, default)]
    pub program: Cow<'a, str>,
    /// The instance's name.
    #[serde(borrow)]
    pub instance: Cow<'a, str>,
    /// `direct`, `serial` or `batched`.
    #[serde(borrow, default)]
    pub mode: Cow<'a, str>,
    /// When the instance started to trace, the same in all of its files.
    pub started: u64,
    /// Which of that instance's files this is, from 0.
    #[serde(default)]
    pub part: u64,
}

/// A request from its arrival to its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord<'a> {
    /// `X-Request-Id`, or the one that the instance gave it.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The client, unless the path names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<i32>,
    /// `credit`, `debit`, `statement`, or `transaction` where its body could not be read.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// When its head had arrived.
    pub at: u64,
    /// How long it waited in the mailbox until it was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<u64>,
    /// The call that carried it.
    #[serde(rename = "flush", default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u64>,
    /// The bound at which it was shed: `client_queue`, `live_actors`, `requests_in_flight`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub shed: Option<Cow<'a, str>>,
    /// `applied`, `read`, the last part of its problem's `type`, [`ABANDONED`] or [`UNHEARD`].
    #[serde(borrow)]
    pub outcome: Cow<'a, str>,
    /// The answer's status, if there was one to give it to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// From its arrival to its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<u64>,
}

/// The outcome of a request whose caller left before it was sent: nothing was done.
pub const ABANDONED: &str = "abandoned";

/// The outcome of a request whose caller left after it was sent: it may have been applied.
pub const UNHEARD: &str = "unheard";

/// A call to the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord<'a> {
    /// Its number, unique within the instance's run.
    pub id: u64,
    /// When its batch was cut.
    pub at: u64,
    /// Why it was cut there: `queue_empty`, `bound`, `direct`, `row_held`.
    #[serde(borrow, default)]
    pub cut: Cow<'a, str>,
    /// What was cut: client, transactions, statements.
    pub carries: Vec<(i32, u32, u32)>,
    /// The longest that one of its requests had waited.
    #[serde(default)]
    pub oldest_wait: u64,
    /// Time to get a connection, counted from the cut.
    #[serde(default)]
    pub connection: u64,
    /// What the database says of it by its own account; part of `database`.
    #[serde(flatten)]
    pub report: CallReport,
    /// What its rows say of whom it waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locks: Option<Box<Locks>>,
    /// From sending the first call to the last answer: the commit and the way there and back too.
    #[serde(default)]
    pub database: u64,
    /// From the cut until everybody was answered.
    #[serde(default)]
    pub total: u64,
    /// For how long the instance had no slice of CPU time meanwhile, at most.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub throttled: u64,
    /// Queries that read statements: one for all that it carries.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub queries: u64,
    /// Transactions applied.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub applied: u64,
    /// Debits refused.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub limit_exceeded: u64,
    /// Transactions refused because of the balance's range.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub balance_overflow: u64,
    /// Transactions of clients that do not exist.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown_client: u64,
    /// Transactions that an earlier request had had applied under the same key.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeated: u64,
    /// Transactions refused because their key was used for another one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub key_reused: u64,
    /// Transactions sent that brought no outcome.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unanswered: u64,
    /// What became of it where it brought no outcomes: `not_sent`, `rolled_back`, `unknown`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Cow<'a, str>>,
}

/// Something that happened to a client's actor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorChange<'a> {
    /// Whose actor.
    pub client: i32,
    /// When.
    pub at: u64,
    /// `activated`, `passivated` or `panicked`.
    #[serde(borrow)]
    pub state: Cow<'a, str>,
}

/// Lines that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// When this was noticed.
    pub at: u64,
    /// How many since the last such line.
    pub count: u64,
    /// When the first of them would have been written; absent in older traces.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub since: u64,
    /// Why they are.
    #[serde(default)]
    pub why: Why,
}

/// Why lines are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The writer did not keep up: too many lines waited.
    QueueFull,
    /// They could not be written: the disk was full, or failed.
    NotWritten,
    /// It was not noted.
    #[default]
    #[serde(other)]
    NotNoted,
}

impl Why {
    /// Returns it in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::QueueFull => "the writer did not keep up",
            Self::NotWritten => "they could not be written (the log says why: a full disk, for one)",
            Self::NotNoted => "why was not noted",
        }
    }
}

/// The end of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: u64,
    /// Lines missing in the whole trace.
    pub dropped: u64,
}

impl Header<'_> {
    /// Returns a copy that borrows nothing.
    pub fn into_owned(self) -> Header<'static> {
        Header {
            program: self.program.into_owned().into(),
            instance: self.instance.into_owned().into(),
            mode: self.mode.into_owned().into(),
            ..self
        }
    }
}

impl CallRecord<'_> {
    /// Returns the runs that it carried (client, transactions, statements): all of them, or `only` that
    /// client's.
    pub fn runs(&self, only: Option<i32>) -> impl Iterator<Item = (i32, u32, u32)> {
        self.carries.iter().copied().filter(move |(client, ..)| only.is_none_or(|only| only == *client))
    }

    /// Returns how many requests it carried.
    pub fn size(&self) -> u64 {
        self.carries
            .iter()
            .map(|(_, transactions, statements)| u64::from(*transactions) + u64::from(*statements))
            .sum()
    }
}
