//! An answer that goes on.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

/// Something for plain HTTP to give back piece by piece. The next piece is asked for when the client has room for it, so a
/// stream that says what is true then, and not what was true meanwhile, holds nothing back for a slow reader. It ends when the
/// client goes, when it reads nothing for a while, and when the server drains.
pub struct Stream {
    /// What it is.
    pub content_type: &'static str,
    /// The pieces.
    pub pieces: BoxStream<'static, Bytes>,
}

impl Stream {
    /// How long server-sent events go on: below the 600 s that Knative gives a request. Clients come back by themselves.
    pub const LASTS: Duration = Duration::from_secs(590);

    /// Server-sent events, from pieces that are whole events or comments. Tells `EventSource` how soon to come back.
    pub fn events(pieces: impl stream::Stream<Item = Bytes> + Send + 'static) -> Self {
        let hello = stream::once(async { Bytes::from_static(b"retry: 1000\n\n") });
        Self { content_type: "text/event-stream", pieces: hello.chain(pieces).boxed() }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}

/// What two streams will say nobody knows.
impl PartialEq for Stream {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}
