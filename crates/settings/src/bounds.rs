//! Bounds on what can grow, and on time; each group is checked against itself.

use std::time::Duration;

use super::choices::Mode;
use super::error::ConfigError;
use super::vars::Vars;

/// Bounds on everything that can grow. Counts unless named otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Clients in one call.
    pub clients_per_call: usize,
    /// Calls at once per worker.
    pub calls_in_flight: usize,
    /// Fewer requests than this in flight allow [`Bounds::overlap_calls`].
    pub overlap_below: usize,
    /// Calls at once per worker while little is in flight.
    pub overlap_calls: usize,
    /// Clients that may wait apart, each for a row that somebody else holds; 0 where calls are not shared.
    pub row_waits: usize,
    /// Transactions in one call.
    pub batch_max: usize,
    /// Requests of one client, waiting or in flight.
    pub queue_per_client: usize,
    /// Actors alive at once.
    pub live_actors: usize,
    /// Requests that the instance works on at once.
    pub requests_in_flight: usize,
    /// HTTP connections, idle ones included. More than requests in flight, so that a request
    /// beyond that bound is refused and not left waiting.
    pub connections: usize,
    /// Requests whose body has not come yet, at once.
    pub bodies_awaited: usize,
    /// Database connections per instance.
    pub pool_size: usize,
    /// Bytes of a request's body.
    pub body_limit_bytes: usize,
}

/// Bounds on time. They nest: statement < call < answer < NGINX's.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a request to arrive, from its first byte to its last.
    pub read: Duration,
    /// PostgreSQL's own, for one statement.
    pub statement: Duration,
    /// For one database call as the instance sees it.
    pub call: Duration,
    /// For an answer, queueing included.
    pub answer: Duration,
    /// Idle time of an actor.
    pub passivate_after: Duration,
    /// How long it goes on once it is told to end, and says that it is not ready.
    pub lame_duck: Duration,
    /// For a key to be remembered, at least.
    pub keys_kept: Duration,
    /// For finishing what is queued at shutdown.
    pub drain: Duration,
}

impl Bounds {
    pub(super) fn read(vars: &Vars<'_>, mode: Mode) -> Result<Self, ConfigError> {
        // A call of one request keeps PostgreSQL busy: more of them at once wait for each other's rows and
        // time slices. The experiment `pool` shows the curve.
        let pool_default = if mode == Mode::Batched { 16 } else { 2 };
        let pool_size = vars.number_or("POOL_SIZE", pool_default)?;
        let (clients_per_call, batch_max) = match mode {
            Mode::Batched => (vars.number("CLIENTS_PER_CALL")?, vars.number("BATCH_MAX")?),
            // Without batching a call is one request's, whatever the settings say.
            Mode::Direct | Mode::Serial => (1, 1),
        };
        let calls_default = if clients_per_call == 1 { pool_size } else { 1 };
        let calls_in_flight = vars.number_or("CALLS_IN_FLIGHT", calls_default)?;
        let overlap_calls = vars.number("OVERLAP_CALLS")?;
        let row_waits = vars.number("ROW_WAITS")?;
        let requests_in_flight = vars.number("REQUESTS_IN_FLIGHT")?;
        let connections = vars.number("CONNECTIONS")?;
        if connections <= requests_in_flight {
            return Err(ConfigError::new(
                "CONNECTIONS",
                "must be more than REQUESTS_IN_FLIGHT, so that a request beyond that bound is refused at once",
            ));
        }
        Ok(Self {
            clients_per_call,
            calls_in_flight,
            overlap_below: vars.number("OVERLAP_BELOW")?,
            overlap_calls: overlap_calls.max(calls_in_flight),
            row_waits: if clients_per_call == 1 { 0 } else { row_waits },
            batch_max,
            queue_per_client: vars.number("QUEUE_PER_CLIENT")?,
            live_actors: vars.number("LIVE_ACTORS")?,
            requests_in_flight,
            connections,
            bodies_awaited: vars.number("BODIES_AWAITED")?,
            pool_size,
            body_limit_bytes: vars.number("BODY_LIMIT_BYTES")?,
        })
    }
}

impl Deadlines {
    pub(super) fn read(vars: &Vars<'_>) -> Result<Self, ConfigError> {
        let deadlines = Self {
            read: vars.millis("READ_TIMEOUT_MS")?,
            statement: vars.millis("STATEMENT_TIMEOUT_MS")?,
            call: vars.millis("CALL_DEADLINE_MS")?,
            answer: vars.millis("ANSWER_DEADLINE_MS")?,
            passivate_after: vars.millis("PASSIVATE_AFTER_MS")?,
            lame_duck: vars.millis("LAME_DUCK_MS")?,
            keys_kept: Duration::from_secs(vars.number("KEYS_KEPT_S")? as u64),
            drain: vars.millis("DRAIN_TIMEOUT_MS")?,
        };
        if deadlines.statement >= deadlines.call {
            return Err(ConfigError::new(
                "CALL_DEADLINE_MS",
                "must be longer than STATEMENT_TIMEOUT_MS, so that PostgreSQL gives up first",
            ));
        }
        if deadlines.call >= deadlines.answer {
            return Err(ConfigError::new(
                "ANSWER_DEADLINE_MS",
                "must be longer than CALL_DEADLINE_MS, so that a call's fate is known before the answer",
            ));
        }
        Ok(deadlines)
    }
}
