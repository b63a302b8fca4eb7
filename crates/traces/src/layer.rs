//! A `tracing` layer that turns the service's spans and events into trace lines.
//!
//! It reads the same fields as the log and the OTLP exporter do: spans `request` and `flush`, the
//! event inside each with its final figures, and the events of actors. A span's line is made when
//! the span closes, since only then nothing can be added to it.

use std::borrow::Cow;
use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::format::{ABANDONED, ActorChange, CallRecord, Line, RequestRecord, UNHEARD};
use super::writer::{LineSender, TraceWriter, now_micros};

const REQUEST: &str = "guiche::request";
const FLUSH: &str = "guiche::flush";
const ACTOR: &str = "guiche::actor";

/// What a trace is made of, as a filter: everything else costs nothing.
pub fn targets() -> Targets {
    Targets::new().with_targets([REQUEST, FLUSH, ACTOR].map(|target| (target, Level::DEBUG)))
}

/// The layer that feeds `writer`. Put [`targets`] before it.
pub fn layer<S>(writer: &TraceWriter) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    TraceLayer { lines: writer.sender() }
}

struct TraceLayer {
    lines: LineSender,
}

impl<S> Layer<S> for TraceLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(mut pending) = Pending::of(attributes.metadata().target()) else { return };
        attributes.record(&mut pending);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(pending);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(pending) = span.extensions_mut().get_mut::<Pending>() {
            values.record(pending);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == ACTOR {
            let mut change = ActorChange { at: now_micros(), ..ActorChange::default() };
            event.record(&mut change);
            self.lines.send(Line::Actor(change));
        } else if let Some(span) = context.event_span(event)
            && let Some(pending) = span.extensions_mut().get_mut::<Pending>()
        {
            event.record(pending);
            pending.ends_now();
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let pending = context.span(&id).and_then(|span| span.extensions_mut().remove::<Pending>());
        if let Some(pending) = pending {
            self.lines.send(pending.close());
        }
    }
}

/// A span that is open.
enum Pending {
    Request { line: RequestRecord<'static>, abandoned: bool },
    Flush(Box<CallRecord<'static>>),
}

impl Pending {
    fn of(target: &str) -> Option<Self> {
        let at = now_micros();
        match target {
            REQUEST => Some(Self::Request {
                line: RequestRecord { at, ..RequestRecord::default() },
                abandoned: false,
            }),
            FLUSH => Some(Self::Flush(Box::new(CallRecord { at, ..CallRecord::default() }))),
            _ => None,
        }
    }

    /// Counts back from its end, now that its duration is known: the clock was first read some
    /// time after the beginning, in which the thread may have been put aside.
    fn ends_now(&mut self) {
        match self {
            Self::Request { line, .. } => line.at = now_micros().saturating_sub(line.took.unwrap_or(0)),
            Self::Flush(flush) => flush.at = now_micros().saturating_sub(flush.total),
        }
    }

    fn close(self) -> Line<'static> {
        match self {
            Self::Flush(flush) => Line::Call(*flush),
            Self::Request { mut line, abandoned } => {
                if abandoned {
                    // It was cut, but not sent.
                    line.flush = None;
                }
                if line.outcome.is_empty() {
                    line.outcome = if line.flush.is_some() { UNHEARD } else { ABANDONED }.into();
                }
                Line::Request(line)
            }
        }
    }
}

impl Visit for Pending {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match self {
            Self::Request { line, .. } => match field.name() {
                "flush" => line.flush = Some(value),
                "queued_us" => line.queued = Some(value),
                "took_us" => line.took = Some(value),
                "status" => line.status = u16::try_from(value).ok(),
                _ => {}
            },
            Self::Flush(flush) => {
                let place = match field.name() {
                    "flush" => &mut flush.id,
                    "oldest_wait_us" => &mut flush.oldest_wait,
                    "connection_us" => &mut flush.connection,
                    "lock_wait_us" => &mut flush.lock_wait,
                    "work_us" => &mut flush.work,
                    "database_us" => &mut flush.database,
                    "total_us" => &mut flush.total,
                    "statement_queries" => &mut flush.queries,
                    "applied" => &mut flush.applied,
                    "limit_exceeded" => &mut flush.limit_exceeded,
                    "balance_overflow" => &mut flush.balance_overflow,
                    "unknown_client" => &mut flush.unknown_client,
                    _ => return,
                };
                *place = value;
            }
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if let Self::Request { abandoned, .. } = self
            && field.name() == "abandoned"
        {
            *abandoned = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match self {
            Self::Request { line, .. } => match field.name() {
                "request_id" => line.id = value.to_owned().into(),
                "client" => line.client = value.parse().ok(),
                "kind" => line.kind = word(value),
                "outcome" => line.outcome = word(value),
                "shed" => line.shed = Some(word(value)),
                _ => {}
            },
            Self::Flush(flush) => match field.name() {
                "carries" => flush.carries = carries(value),
                "cut" => flush.cut = word(value),
                "failure" => flush.failure = Some(word(value)),
                _ => {}
            },
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl Visit for ActorChange<'static> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "client" {
            self.client = i32::try_from(value).unwrap_or_default();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let mut state = String::new();
            // A String takes everything.
            let _ = write!(state, "{value:?}");
            self.state = state.into();
        }
    }
}

/// The words that nearly every line has, without allocating them.
fn word(text: &str) -> Cow<'static, str> {
    const FREQUENT: [&str; 9] = [
        "applied",
        "debit",
        "credit",
        "limit-exceeded",
        "statement",
        "read",
        "transaction",
        "queue_empty",
        "bound",
    ];
    match FREQUENT.iter().find(|frequent| **frequent == text) {
        Some(frequent) => Cow::Borrowed(frequent),
        None => Cow::Owned(text.to_owned()),
    }
}

/// Reads `client:transactions:statements`, separated by spaces.
fn carries(text: &str) -> Vec<(i32, u32, u32)> {
    let part = |part: &str| {
        let mut numbers = part.split(':');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    text.split(' ').filter_map(part).collect()
}
