//! An answer that goes on.

use std::fmt;

use bytes::Bytes;
use futures_util::stream::BoxStream;

/// Something for plain HTTP to give back piece by piece. The next piece is asked for when the client has room for it, so a
/// stream that says what is true then, and not what was true meanwhile, holds nothing back for a slow reader. It ends when the
/// client goes, when it reads nothing for a while, and when the server drains.
pub struct Stream {
    /// What it is.
    pub content_type: &'static str,
    /// The pieces.
    pub pieces: BoxStream<'static, Bytes>,
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
