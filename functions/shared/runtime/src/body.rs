//! Reading a request's body within limits of length, room and time.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::gate::Held;

/// A body that nobody wants is read to its end when it is this short, so that its connection can be used again.
const DISCARD_BYTES: usize = 64 << 10;

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is longer than the limit.
    TooLarge,
    /// It did not arrive in time.
    Slow,
    /// All the bytes that may be held are.
    NoRoom,
    /// It broke off, or its encoding is broken.
    Broken,
}

/// When to give up on a body, and how to keep time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) until: Instant,
    /// Whether the connection itself polls this request again and again, as HTTP/1's does (see `connection.rs`).
    /// Then no timer is set for a body that arrives at once, as nearly all do.
    pub(crate) is_polled: bool,
}

/// The whole body. A length that is declared and too long is refused before anything is read.
pub(crate) async fn read(
    body: Incoming,
    limit: usize,
    held: &mut Held<'_>,
    patience: Patience,
) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Unread::TooLarge);
    }
    in_time(patience, gather(body, limit, held)).await
}

/// Reads a body that nobody wants, and says whether it was short enough to be read to its end.
pub(crate) async fn discard(body: Incoming, patience: Patience) -> bool {
    if body.is_end_stream() {
        return true;
    }
    if body.size_hint().lower() > DISCARD_BYTES as u64 {
        return false;
    }
    in_time(patience, skip(body)).await.is_ok()
}

async fn gather(mut body: Incoming, limit: usize, held: &mut Held<'_>) -> Result<Bytes, Unread> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(data) = next_data(&mut body).await? {
        if first.len() + joined.len() + data.len() > limit {
            return Err(Unread::TooLarge);
        }
        if !held.grow(data.len()) {
            return Err(Unread::NoRoom);
        }
        if first.is_empty() && joined.is_empty() {
            first = data;
        } else {
            // Joined at once: a small piece may keep a large buffer alive.
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

async fn skip(mut body: Incoming) -> Result<(), Unread> {
    let mut skipped = 0;
    while let Some(data) = next_data(&mut body).await? {
        skipped += data.len();
        if skipped > DISCARD_BYTES {
            return Err(Unread::TooLarge);
        }
    }
    Ok(())
}

async fn next_data(body: &mut Incoming) -> Result<Option<Bytes>, Unread> {
    while !body.is_end_stream() {
        match body.frame().await {
            None => break,
            Some(Err(_)) => return Err(Unread::Broken),
            Some(Ok(frame)) => {
                // Trailers mean nothing to us.
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
    Ok(None)
}

async fn in_time<T>(
    patience: Patience,
    reading: impl Future<Output = Result<T, Unread>>,
) -> Result<T, Unread> {
    let mut reading = pin!(reading);
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    let mut may_wait = patience.is_polled;
    poll_fn(|cx: &mut Context<'_>| {
        if let Poll::Ready(outcome) = reading.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        if std::mem::take(&mut may_wait) {
            return Poll::Pending;
        }
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(patience.until)));
        timer.as_mut().poll(cx).map(|()| Err(Unread::Slow))
    })
    .await
}
