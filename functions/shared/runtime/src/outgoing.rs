//! The body of an answer: whole, or a stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use function::Stream;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, poll_fn};
use http::Response;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{mpsc, watch};

use crate::activity::{Activity, Streaming};
use crate::server::Phase;

pub(crate) type Answer = Response<Outgoing>;

/// What is sent.
pub(crate) enum Outgoing {
    Whole(Full<Bytes>),
    Stream(BoxStream<'static, Bytes>),
}

impl Outgoing {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }

    /// Ends with its pieces, when the client goes or takes nothing for so long, or when the server stops serving.
    pub(crate) fn stream(
        stream: Stream,
        activity: &Arc<Activity>,
        mut phases: watch::Receiver<Phase>,
        stall: Duration,
    ) -> Self {
        let watched = Arc::clone(activity);
        let stopped = async move {
            tokio::select! {
                _ = phases.wait_for(|phase| *phase != Phase::Serving) => {}
                () = watched.client_gone() => {}
            }
        };
        let (give, mut take) = mpsc::channel(1);
        tokio::spawn(make(stream.pieces, give, stall, Activity::stream(activity)));
        Self::Stream(poll_fn(move |cx| take.poll_recv(cx)).take_until(Box::pin(stopped)).boxed())
    }
}

/// Makes pieces as they are taken, and keeps the connection alive meanwhile. On a task of its own: in HTTP/2 an answer is not asked for
/// pieces while its client has no room for them, so it would never learn for how long.
async fn make(
    mut pieces: BoxStream<'static, Bytes>,
    give: mpsc::Sender<Bytes>,
    stall: Duration,
    _streaming: Streaming,
) {
    loop {
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            () = give.closed() => None,
        };
        let Some(piece) = piece else { return };
        match give.send_timeout(piece, stall).await {
            Ok(()) => {}
            Err(SendTimeoutError::Closed(_)) => return,
            Err(SendTimeoutError::Timeout(_)) => {
                tracing::debug!("a client takes nothing of its stream, which ends");
                return;
            }
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Self::Stream(pieces) => {
                pieces.poll_next_unpin(cx).map(|next| next.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
