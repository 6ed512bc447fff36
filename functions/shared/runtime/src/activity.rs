//! What a connection is doing, and its socket that keeps note of it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use crate::options::Limits;

/// After an answer to a request that was not read to its end, what the client still sends is read and thrown away for
/// a while. Closing at once would reset the connection, and the client would lose the answer.
const LINGER: Duration = Duration::from_secs(2);
/// As much is thrown away, and no more.
const LINGER_BYTES: usize = 4 << 20;

/// Bytes of a head have come.
const HEAD: u8 = 1;
/// The connection speaks HTTP/2, where bytes come between requests too.
const HTTP2: u8 = 2;
/// A request was not read to its end.
const UNREAD: u8 = 4;
/// Our side is shut and the rest is being thrown away.
const LINGERING: u8 = 8;

/// What a connection is doing. Written by its socket and its requests, read by its watch.
#[derive(Debug)]
pub(crate) struct Activity {
    epoch: Instant,
    running: AtomicU32,
    /// When it last changed, in milliseconds after the epoch.
    since_ms: AtomicU64,
    flags: AtomicU8,
}

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing; look again after this time at the latest.
    Keep(Duration),
    /// It has been idle for too long.
    Retire,
    /// It has used up its time in the middle of something.
    Drop,
}

/// A request being answered; ends when dropped.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Activity);

impl Activity {
    pub(crate) fn new(epoch: Instant) -> Self {
        let activity =
            Self { epoch, running: AtomicU32::new(0), since_ms: AtomicU64::new(0), flags: AtomicU8::new(0) };
        activity.touch(Instant::now());
        activity
    }

    pub(crate) fn begin(&self, now: Instant, is_http2: bool) -> Running<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.flags.fetch_and(!HEAD, Ordering::Relaxed);
        if is_http2 {
            self.set(HTTP2);
        }
        self.touch(now);
        Running(self)
    }

    /// The request that is running will not be read to its end.
    pub(crate) fn leave_unread(&self) {
        self.set(UNREAD);
    }

    pub(crate) fn is_lingering(&self) -> bool {
        self.has(LINGERING)
    }

    pub(crate) fn verdict(&self, limits: &Limits, now: Instant) -> Verdict {
        // Short enough to notice a head that has begun meanwhile before its time is over.
        let look_again = limits.head.min(limits.body);
        if self.running.load(Ordering::Relaxed) > 0 {
            return Verdict::Keep(look_again);
        }
        let (allowed, verdict) = if self.is_lingering() {
            (LINGER, Verdict::Drop)
        } else if self.has(HEAD) {
            (limits.head, Verdict::Drop)
        } else {
            (limits.idle, Verdict::Retire)
        };
        let spent = now.saturating_duration_since(self.epoch + self.since());
        match allowed.checked_sub(spent) {
            Some(left) if !left.is_zero() => Verdict::Keep(left.min(look_again)),
            _ => verdict,
        }
    }

    fn bytes_came(&self) {
        if self.running.load(Ordering::Relaxed) == 0 && !self.has(HEAD | HTTP2) {
            self.touch(Instant::now());
            self.set(HEAD);
        }
    }

    fn since(&self) -> Duration {
        Duration::from_millis(self.since_ms.load(Ordering::Relaxed))
    }

    fn touch(&self, now: Instant) {
        let since = now.saturating_duration_since(self.epoch).as_millis() as u64;
        self.since_ms.store(since, Ordering::Relaxed);
    }

    fn set(&self, flag: u8) {
        self.flags.fetch_or(flag, Ordering::Relaxed);
    }

    fn has(&self, flags: u8) -> bool {
        self.flags.load(Ordering::Relaxed) & flags != 0
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.touch(Instant::now());
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that notes when bytes come, and lingers when it is shut after an unread request.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TokioIo<TcpStream>,
    activity: Arc<Activity>,
    thrown_away: usize,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream: TokioIo::new(stream), activity, thrown_away: 0 }
    }

    fn stream(&mut self) -> Pin<&mut TokioIo<TcpStream>> {
        Pin::new(&mut self.stream)
    }

    /// Completes when the client has sent all, or too much. Errors are no news here.
    fn poll_throw_away(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 8 << 10];
        while self.thrown_away < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(self.stream.inner_mut()).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
            self.thrown_away += buffer.filled().len();
        }
        Poll::Ready(())
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(self.stream().poll_read(cx, buffer));
        self.activity.bytes_came();
        Poll::Ready(read)
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.activity.is_lingering() {
            ready!(self.stream().poll_shutdown(cx))?;
            if !self.activity.has(UNREAD | HEAD) {
                return Poll::Ready(Ok(()));
            }
            self.activity.touch(Instant::now());
            self.activity.set(LINGERING);
        }
        self.poll_throw_away(cx).map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        connections: 1,
        head_bytes: 1,
        head: Duration::from_secs(10),
        body: Duration::from_secs(20),
        idle: Duration::from_secs(120),
        drain: Duration::from_secs(1),
    };

    fn after(activity: &Activity, seconds: u64) -> Verdict {
        activity.verdict(&LIMITS, Instant::now() + Duration::from_secs(seconds))
    }

    #[test]
    fn an_idle_connection_is_retired_after_its_time_and_looked_at_before() {
        let activity = Activity::new(Instant::now());
        assert_eq!(after(&activity, 100), Verdict::Keep(LIMITS.head));
        assert_eq!(after(&activity, 121), Verdict::Retire);
    }

    #[test]
    fn a_head_that_has_begun_has_less_time() {
        let activity = Activity::new(Instant::now());
        activity.bytes_came();
        assert!(matches!(after(&activity, 9), Verdict::Keep(_)));
        assert_eq!(after(&activity, 11), Verdict::Drop);
    }

    #[test]
    fn a_running_request_keeps_a_connection() {
        let activity = Activity::new(Instant::now());
        activity.bytes_came();
        let running = activity.begin(Instant::now(), false);
        assert_eq!(after(&activity, 1_000), Verdict::Keep(LIMITS.head));
        drop(running);
        assert_eq!(after(&activity, 100), Verdict::Keep(LIMITS.head), "its head is forgotten");
        assert_eq!(after(&activity, 121), Verdict::Retire);
    }

    #[test]
    fn http2_frames_between_requests_are_no_heads() {
        let activity = Activity::new(Instant::now());
        drop(activity.begin(Instant::now(), true));
        activity.bytes_came();
        assert!(matches!(after(&activity, 100), Verdict::Keep(_)));
    }
}
