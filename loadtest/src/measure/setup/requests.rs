//! Which requests are sent, and how they come.

use clap::ValueEnum;

/// Which requests are sent, in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mix {
    /// The contest's: twice as many debits as credits, which drains the limits until about a
    /// quarter is refused.
    #[default]
    Contest,
    /// As many credits as debits.
    Balanced,
    /// Statements alone, of clients who got their transactions while the stack was warmed up.
    Statements,
}

impl Mix {
    /// Returns debits, credits and statements.
    pub fn parts(self) -> [u32; 3] {
        match self {
            Mix::Contest => [220, 110, 10],
            Mix::Balanced => [165, 165, 10],
            Mix::Statements => [0, 0, 1],
        }
    }
}

/// The limits of the bank's clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ClientLimits {
    /// The contest's, where there are no more than its five clients.
    Contest,
    /// Beyond what a run can draw: a refusal takes no lock and commits nothing, so that refusals would
    /// be what is measured.
    #[default]
    Large,
}

/// The Idempotency-Keys of wrk's POSTs: as long as a UUID, and no two alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Keys {
    /// None.
    #[default]
    #[value(name = "false")]
    Absent,
    /// Of which nothing says when they were made, as UUIDv4.
    #[value(name = "true")]
    Random,
    /// Those of a minute begin alike, as UUIDv7.
    Timed,
}

/// How requests come, which also says what sends them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// By wrk, over so many connections that are kept alive: each sends its next request as soon as it
    /// has its answer.
    Saturating {
        /// How many connections.
        connections: u32,
    },
    /// By k6, from so many users, each with a connection that is kept; the next as soon as one has its
    /// answer.
    Closed {
        /// How many users.
        users: u32,
    },
    /// By k6, so many a second, whatever the answers take.
    Open {
        /// How many.
        rate: f64,
    },
    /// By k6, 340 a second with a new connection for each, as in the contest.
    Contest,
    /// Past NGINX and the instances: transactions alone, so many in each call of the database.
    Batches {
        /// How many.
        size: u32,
    },
}
