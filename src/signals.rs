//! What each signal asks of an instance.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::observing::LogLevel;
use crate::observing::telemetry::Telemetry;

/// What `guiche --help` says of them.
pub const HELP: &str = "\
Signals:

  SIGTERM, SIGINT
      finish what is queued, and end; a second one cuts LAME_DUCK_MS short
  SIGHUP
      write on at TRACE in a new file, if somebody has moved it away; nothing else is read again, and it never ends
  SIGUSR1, SIGUSR2
      log more of what the service does, log less, by one level: error, warn, info, debug, trace
";

/// Notices of SIGTERM and SIGINT.
pub(crate) struct StopRequests {
    terminate: Signal,
    interrupt: Signal,
}

impl StopRequests {
    /// Takes notice of them from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Takes notice, from now on, of the signals that change what an instance tells of itself; what it returns does as
/// they ask, for ever.
pub(crate) fn obey(telemetry: &Telemetry) -> io::Result<impl Future<Output = ()> + use<>> {
    let (level, trace): (LogLevel, _) = (telemetry.level(), telemetry.trace());
    let mut reopen = signal(SignalKind::hangup())?;
    let mut more = signal(SignalKind::user_defined1())?;
    let mut less = signal(SignalKind::user_defined2())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = reopen.recv() => if let Some(trace) = &trace { trace.reopen() },
                _ = more.recv() => level.more(),
                _ = less.recv() => level.less(),
            }
        }
    })
}
