//! What a connection is doing, and its socket that keeps note of it.

use std::future::poll_fn;
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
/// Somebody wants to know when the client goes.
const WATCHED: u8 = 16;
/// The client has ended its side, which means that it is gone to whoever wants to know.
const GONE: u8 = 32;

/// What a connection is doing. Written by its socket and its requests, read by its watch.
#[derive(Debug)]
pub(crate) struct Activity {
    epoch: Instant,
    running: AtomicU32,
    /// When it last changed, in milliseconds after the epoch.
    since_ms: AtomicU64,
    /// Since when the client has no room for what we send, in milliseconds after the epoch; 0 while it has.
    stalled_ms: AtomicU64,
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

/// An answer that goes on after its request; ends when dropped.
#[derive(Debug)]
pub(crate) struct Streaming(Arc<Activity>);

impl Activity {
    pub(crate) fn new(epoch: Instant) -> Self {
        let activity = Self {
            epoch,
            running: AtomicU32::new(0),
            since_ms: AtomicU64::new(0),
            stalled_ms: AtomicU64::new(0),
            flags: AtomicU8::new(0),
        };
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

    /// Goes on as long as what it gives.
    pub(crate) fn stream(this: &Arc<Self>) -> Streaming {
        this.running.fetch_add(1, Ordering::Relaxed);
        Streaming(Arc::clone(this))
    }

    /// Completes when the client has ended its side. To be waited for within the connection's task, whose socket looks.
    pub(crate) async fn client_gone(&self) {
        poll_fn(|_| {
            self.set(WATCHED);
            if self.has(GONE) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
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
        let look_again = limits.head.min(limits.body).min(limits.stall);
        if self.stalled(now) >= limits.stall {
            return Verdict::Drop;
        }
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

    /// Takes note whether the client has room for what we send.
    fn sent<T>(&self, outcome: Poll<T>) -> Poll<T> {
        let stalled = self.stalled_ms.load(Ordering::Relaxed) > 0;
        if outcome.is_pending() && !stalled {
            let now_ms = Instant::now().saturating_duration_since(self.epoch).as_millis() as u64;
            self.stalled_ms.store(now_ms.max(1), Ordering::Relaxed);
        } else if outcome.is_ready() && stalled {
            self.stalled_ms.store(0, Ordering::Relaxed);
        }
        outcome
    }

    fn stalled(&self, now: Instant) -> Duration {
        match self.stalled_ms.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => now.saturating_duration_since(self.epoch + Duration::from_millis(since)),
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

impl Drop for Streaming {
    fn drop(&mut self) {
        drop(Running(&self.0));
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
        let written = self.stream().poll_write(cx, bytes);
        self.activity.sent(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper reads nothing while it answers, as who has ended its side may still want the answer; but it flushes at each turn.
        if self.activity.has(WATCHED) && !self.activity.has(GONE) {
            let mut byte = [0; 1];
            let mut buffer = ReadBuf::new(&mut byte);
            if let Poll::Ready(Ok(0) | Err(_)) = self.stream.inner().poll_peek(cx, &mut buffer) {
                self.activity.set(GONE);
                cx.waker().wake_by_ref();
            }
        }
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
        let written = self.stream().poll_write_vectored(cx, slices);
        self.activity.sent(written)
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
        stall: Duration::from_secs(10),
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
    fn a_client_that_takes_nothing_is_dropped_also_while_a_request_runs() {
        let activity = Activity::new(Instant::now() - Duration::from_secs(1));
        let _running = activity.begin(Instant::now(), false);
        assert!(activity.sent(Poll::<()>::Pending).is_pending());
        assert!(matches!(after(&activity, 9), Verdict::Keep(_)));
        assert_eq!(after(&activity, 11), Verdict::Drop);
        assert!(activity.sent(Poll::Ready(())).is_ready());
        assert!(matches!(after(&activity, 11), Verdict::Keep(_)));
    }

    #[test]
    fn a_stream_keeps_a_connection_as_long_as_it_goes_on() {
        let activity = Arc::new(Activity::new(Instant::now()));
        let running = activity.begin(Instant::now(), false);
        let stream = Activity::stream(&activity);
        drop(running);
        assert!(matches!(after(&activity, 1_000), Verdict::Keep(_)));
        drop(stream);
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
