//! Where a connection comes in: how long it may take to say what it wants, and in whose words it is
//! refused.
//!
//! actix refuses what is no HTTP, too large or too slow with an answer that has no body, times the first
//! head of a connection alone, and lets idle connections take all the room there is. It has no hook for any
//! of it, so all is done on the bytes that pass here:
//!
//! - a request must be whole, body included, within a deadline from its first byte;
//! - where connections run short, the one heard of longest ago gives way, unless a request of it is being
//!   worked on; of requests whose bodies do not come only so many are waited for;
//! - actix's own refusals get the service's body;
//! - when the instance ends, who idles is closed, and nobody who could still send is left without an answer.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

use super::connection::{Connection, DoorOptions, Phase};
use super::problem::Problem;
use crate::observing::metrics::Gauge;

/// What ends an answer without a body.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// How long a caller who was refused while still sending is listened to.
pub(super) const LINGER: Duration = Duration::from_millis(500);

/// What a connection is made of.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Lets nothing more be sent to it. What was sent before can still be read.
    fn shut(&self);
}

impl Stream for TcpStream {
    fn shut(&self) {
        shut(SockRef::from(self));
    }
}

impl Stream for UnixStream {
    fn shut(&self) {
        shut(SockRef::from(self));
    }
}

fn shut(socket: SockRef<'_>) {
    // Where that fails there is nobody left to send.
    let _ = socket.shutdown(Shutdown::Read);
}

/// Comes once nobody is to be waited for any more who has not sent anything.
pub type LastCall = Pin<Box<dyn Future<Output = ()>>>;

/// A connection's bytes. But for actix's own refusals they pass as they are.
pub struct Door<S: Stream> {
    /// There until the door is dropped.
    stream: Option<S>,
    connection: Rc<Connection>,
    /// Goes off at a deadline, or before it; made when there is one to wait for.
    alarm: Option<(Instant, Pin<Box<Sleep>>)>,
    /// A refusal that is still to be written.
    refusal: Vec<u8>,
    /// Nothing more is read, and nothing written but the refusal.
    closing: bool,
    /// `None` once it has come.
    last_call: Option<LastCall>,
    /// Nothing more can be sent to it; what was sent before is still read.
    shut: bool,
}

impl<S: Stream> Door<S> {
    /// Lets a connection of this thread in, which `open` counts as long as it is there.
    pub fn new(stream: S, options: DoorOptions, open: &Gauge, last_call: LastCall) -> Self {
        let connection = Connection::open(options, open);
        Self {
            stream: Some(stream),
            connection,
            alarm: None,
            refusal: Vec::new(),
            closing: false,
            last_call: Some(last_call),
            shut: false,
        }
    }

    /// Once the last call has come, shuts a connection that idles to whoever would send. On a unix socket that is
    /// one step: who sends later is told at once that not a byte was taken, and who was earlier is read and answered.
    /// TCP takes what comes later, and it is lost.
    fn poll_last_call(&mut self, context: &mut Context<'_>) {
        if self.last_call.as_mut().is_some_and(|call| call.as_mut().poll(context).is_ready()) {
            self.last_call = None;
        }
        if self.last_call.is_none() && !self.shut && self.connection.idles() {
            self.shut = true;
            self.stream().shut();
            // To read what came before that, or that nothing did.
            context.waker().wake_by_ref();
        }
    }

    fn stream(&mut self) -> &mut S {
        self.stream.as_mut().expect("it is taken only when dropped")
    }

    /// Returns what its requests find as their connection's data.
    pub fn data(&self) -> impl Clone + 'static + use<S> {
        Rc::clone(&self.connection)
    }

    /// Waits until the connection has taken too long or must give way, and returns what it is told.
    fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<Option<Problem>> {
        let connection = &self.connection;
        if connection.gives_way(context.waker()) {
            return Poll::Ready(connection.give_up());
        }
        loop {
            let Some(deadline) = connection.deadline() else { return Poll::Pending };
            match &mut self.alarm {
                // It goes off in time, and only then is it looked at again.
                Some((at, alarm)) if *at <= deadline && !alarm.is_elapsed() => return Poll::Pending,
                Some((at, _)) if *at == deadline => return Poll::Ready(connection.give_up()),
                Some((at, alarm)) => {
                    *at = deadline;
                    alarm.as_mut().reset(deadline);
                }
                alarm => *alarm = Some((deadline, Box::pin(tokio::time::sleep_until(deadline)))),
            }
            if let Some((_, alarm)) = &mut self.alarm {
                let _ = alarm.as_mut().poll(context);
            }
        }
    }

    /// Writes what is left of a refusal.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream: Some(stream), refusal, .. } = self else { return Poll::Ready(Ok(())) };
        while !refusal.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(context, refusal))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            refusal.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> Drop for Door<S> {
    fn drop(&mut self) {
        self.connection.close();
        // Closed with bytes unread, a connection is reset, and the refusal may be lost with it.
        if let (true, Some(stream), Ok(runtime)) = (self.closing, self.stream.take(), Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(LINGER, linger(stream)));
        }
    }
}

/// Reads what a refused caller is still sending, and throws it away.
async fn linger<S: Stream>(mut stream: S) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}

/// Returns where in `bytes` an answer of actix's own begins, and what it says. None of the service's ends
/// without a body and has its status.
fn own_refusal(bytes: &[u8]) -> Option<(usize, Problem)> {
    const VERSION: &[u8] = b"HTTP/1.1 ";
    if !bytes.ends_with(BLANK_LINE) {
        return None;
    }
    let begin = bytes.windows(VERSION.len()).rposition(|window| window == VERSION)?;
    let problem = match bytes.get(begin + VERSION.len()..)?.first_chunk()? {
        b"400" => Problem::MalformedRequest,
        b"431" => Problem::HeadTooLarge,
        _ => return None,
    };
    Some((begin, problem))
}

impl<S: Stream> AsyncRead for Door<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.closing {
            let before = buffer.filled().len();
            if Pin::new(self.stream()).poll_read(context, buffer)?.is_pending() {
                self.poll_last_call(context);
            } else if buffer.filled().len() > before || !self.shut || self.connection.idles() {
                self.connection.hears();
                return Poll::Ready(Ok(()));
            }
            // For actix a caller who sends no more has gone. One who cannot is answered, or told what is missing.
            let problem = ready!(self.poll_overdue(context));
            self.closing = true;
            self.refusal = problem.map_or_else(Vec::new, |problem| problem.closing());
        }
        // That nothing more comes has actix close the connection.
        self.poll_refusal(context)
    }
}

impl<S: Stream> AsyncWrite for Door<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.closing {
            return self.poll_refusal(context).map_ok(|()| bytes.len());
        }
        if let Some((begin, problem)) = own_refusal(bytes) {
            self.closing = true;
            self.refusal = [&bytes[..begin], &problem.closing()].concat();
            return self.poll_refusal(context).map_ok(|()| bytes.len());
        }
        if !bytes.starts_with(b"HTTP/1.1 100") {
            self.connection.phase.set(Phase::Nothing);
        }
        if self.shut {
            // Then that nothing more comes may be read.
            context.waker().wake_by_ref();
        }
        Pin::new(self.stream()).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(self.stream()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(self.stream()).poll_shutdown(context)
    }
}
