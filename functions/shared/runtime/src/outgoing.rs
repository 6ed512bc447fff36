//! The body of an answer: whole, or a stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use function::Stream;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::Response;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::watch;

use crate::activity::{Activity, Streaming};
use crate::server::Phase;

pub(crate) type Answer = Response<Outgoing>;

/// What is sent.
pub(crate) enum Outgoing {
    Whole(Full<Bytes>),
    Stream(Pieces),
}

/// A stream, and what keeps its connection alive as long as it goes on.
pub(crate) struct Pieces {
    pieces: BoxStream<'static, Bytes>,
    _streaming: Streaming,
}

impl Outgoing {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }

    /// Ends with its pieces, when the client goes, or when the server stops serving.
    pub(crate) fn stream(
        stream: Stream,
        activity: &Arc<Activity>,
        mut phases: watch::Receiver<Phase>,
    ) -> Self {
        let watched = Arc::clone(activity);
        let stopped = async move {
            tokio::select! {
                _ = phases.wait_for(|phase| *phase != Phase::Serving) => {}
                () = watched.client_gone() => {}
            }
        };
        let pieces = stream.pieces.take_until(Box::pin(stopped)).boxed();
        Self::Stream(Pieces { pieces, _streaming: Activity::stream(activity) })
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
            Self::Stream(stream) => {
                stream.pieces.poll_next_unpin(cx).map(|next| next.map(|piece| Ok(Frame::data(piece))))
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
