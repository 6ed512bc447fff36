//! The life of one connection: served until its client or a limit ends it.
//!
//! One timer watches over it, looked at every few seconds. hyper's own timer would be set anew for each request, and
//! counts the time between requests as time for a head.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::activity::{Activity, Socket, Verdict};
use crate::server::{Phase, Shared};
use crate::service;

/// A connection as its requests see it.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) activity: Arc<Activity>,
}

/// Serves a connection to its end, or to the server's.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, phases: watch::Receiver<Phase>) {
    let activity = Arc::new(Activity::new(shared.epoch));
    let connection = Arc::new(Connection { shared: shared.clone(), activity: activity.clone() });
    let service = service_fn(move |request| service::answer(connection.clone(), request));
    let socket = Socket::new(stream, activity.clone());
    let mut served = pin!(shared.http.serve_connection(socket, service));
    let mut changes = pin!(watch_changes(phases));
    let mut timer = pin!(tokio::time::sleep(shared.limits.head.min(shared.limits.body)));
    let mut seen = Phase::Serving;
    let (mut is_watching, mut is_lingering, mut is_retiring) = (false, false, false);

    poll_fn(|cx| {
        loop {
            if let Poll::Ready(end) = served.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            // Both sleepers wake this task once they have been polled; polling them at each request would be waste.
            if !is_watching {
                is_watching = true;
                let _ = changes.as_mut().poll(cx);
                let _ = timer.as_mut().poll(cx);
            }
            let phase = shared.phase();
            if phase != seen {
                seen = phase;
                is_watching = false;
                if phase == Phase::Closed {
                    return Poll::Ready(Ok(()));
                }
                served.as_mut().graceful_shutdown();
                continue;
            }
            let begins_to_linger = activity.is_lingering() && !is_lingering;
            is_lingering |= begins_to_linger;
            if !begins_to_linger && !timer.is_elapsed() {
                return Poll::Pending;
            }
            is_watching = false;
            match activity.verdict(&shared.limits, Instant::now()) {
                Verdict::Keep(time) => timer.as_mut().reset(tokio::time::Instant::now() + time),
                Verdict::Retire if !is_retiring => {
                    is_retiring = true;
                    served.as_mut().graceful_shutdown();
                    timer.as_mut().reset(tokio::time::Instant::now() + shared.limits.head);
                }
                Verdict::Retire | Verdict::Drop => return Poll::Ready(Ok(())),
            }
        }
    })
    .await
    .unwrap_or_else(|error| tracing::trace!(%error, "connection ended"));
}

/// Takes note of each change and waits for the next one; its task looks at what has changed.
async fn watch_changes(mut phases: watch::Receiver<Phase>) {
    while phases.changed().await.is_ok() {}
}
