//! The life of one connection: served until its client or a limit ends it.
//!
//! One timer watches over it, looked at every few seconds. hyper's own timer would be set anew for each request, and
//! counts the time between requests as time for a head.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Sleep;

use crate::activity::{Activity, Socket, Verdict};
use crate::server::{Phase, Shared};
use crate::service;

/// A connection as its requests see it.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) phases: watch::Receiver<Phase>,
}

/// Serves a connection to its end, or to the server's.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, phases: watch::Receiver<Phase>) {
    let activity = Arc::new(Activity::new(shared.epoch));
    let connection =
        Arc::new(Connection { shared: shared.clone(), activity: activity.clone(), phases: phases.clone() });
    let service = service_fn(move |request| service::answer(connection.clone(), request));
    let mut served = pin!(shared.http.serve_connection(Socket::new(stream, activity.clone()), service));
    let mut watch = Watch::new(shared.clone(), activity, phases);
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = served.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            match ready!(watch.poll(cx)) {
                End::Graceful => served.as_mut().graceful_shutdown(),
                End::Now => return Poll::Ready(Ok(())),
            }
        }
    });
    if let Err(error) = ended.await {
        // A client that went away or spoke nonsense: nobody's business but its own.
        tracing::trace!(%error, "connection ended");
    }
}

/// How a connection is to end.
#[derive(Debug, Clone, Copy)]
enum End {
    /// With the request that has begun.
    Graceful,
    Now,
}

/// Watches a connection for the server's phase and for the limits of time.
struct Watch {
    shared: Arc<Shared>,
    activity: Arc<Activity>,
    changes: Pin<Box<dyn Future<Output = ()> + Send>>,
    timer: Pin<Box<Sleep>>,
    seen: Phase,
    /// Both sleepers have been polled and will wake the task. Polling them at each request would be waste.
    is_armed: bool,
    is_lingering: bool,
    is_retiring: bool,
}

impl Watch {
    fn new(shared: Arc<Shared>, activity: Arc<Activity>, mut phases: watch::Receiver<Phase>) -> Self {
        // Takes note of each change and waits for the next one; what has changed is looked up.
        let changes = Box::pin(async move { while phases.changed().await.is_ok() {} });
        Self {
            timer: Box::pin(tokio::time::sleep(
                shared.limits.head.min(shared.limits.body).min(shared.limits.stall),
            )),
            changes,
            shared,
            activity,
            seen: Phase::Serving,
            is_armed: false,
            is_lingering: false,
            is_retiring: false,
        }
    }

    /// Completes when the connection is to end; may be polled again for a harder end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if !std::mem::replace(&mut self.is_armed, true) {
                let _ = self.changes.as_mut().poll(cx);
                let _ = self.timer.as_mut().poll(cx);
            }
            let phase = self.shared.phase();
            if phase != self.seen {
                self.seen = phase;
                self.is_armed = false;
                return Poll::Ready(if phase == Phase::Closed { End::Now } else { End::Graceful });
            }
            if !self.begins_to_linger() && !self.timer.is_elapsed() {
                return Poll::Pending;
            }
            match self.activity.verdict(&self.shared.limits, Instant::now()) {
                Verdict::Keep(time) => self.look_again_after(time),
                Verdict::Retire if !self.is_retiring => {
                    self.is_retiring = true;
                    self.look_again_after(self.shared.limits.head);
                    return Poll::Ready(End::Graceful);
                }
                Verdict::Retire | Verdict::Drop => return Poll::Ready(End::Now),
            }
        }
    }

    /// Whether the connection lingers since the last look: that has a shorter limit than the timer is set to.
    fn begins_to_linger(&mut self) -> bool {
        let is_lingering = self.activity.is_lingering();
        is_lingering && !std::mem::replace(&mut self.is_lingering, is_lingering)
    }

    fn look_again_after(&mut self, time: Duration) {
        self.timer.as_mut().reset(tokio::time::Instant::now() + time);
        self.is_armed = false;
    }
}
