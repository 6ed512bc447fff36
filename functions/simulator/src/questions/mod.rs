//! The questions that are asked about a stream, rolled from dice, with their paths.

pub mod aggregates;
pub mod profile;

use bytes::Bytes;
use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but letters, digits and the marks that mean nothing in a query.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b'~');

fn push_encoded(path: &mut String, value: &str) {
    path.extend(utf8_percent_encode(value, ENCODED));
}

/// The path and query as a request has it.
pub fn uri(path: String) -> Uri {
    Uri::from_maybe_shared(Bytes::from(path)).expect("paths are percent-encoded")
}
