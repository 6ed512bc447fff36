//! What an answer means for the event, by the rule that KafkaSource has.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// KafkaSource keeps so much of an answer's body; and we of a header.
const MAX_DATA_BYTES: usize = 1_024;
/// What a longer answer to an event that was taken may have, so that its connection can be used again.
const MAX_DISCARDED_BYTES: usize = 64 * 1024;
/// What begins the names of headers that explain a refusal.
const REASON_PREFIX: &str = "kne-";
/// Our functions give one reason; there must be an end to what is kept with an event.
const MAX_REASONS: usize = 8;

/// What becomes of an event.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The function has it.
    Done,
    /// It comes again.
    Later(Refusal),
    /// It can never succeed.
    Never(Refusal),
}

/// What the function said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Refusal {
    /// In one line, for a person.
    pub(crate) reason: String,
    /// The status of its answer; none where there was no answer.
    pub(crate) code: Option<StatusCode>,
    /// The beginning of the answer's body; without an answer, the reason.
    pub(crate) data: Bytes,
    /// Its `Kne-*` headers: names in lower case and without that, and values.
    pub(crate) reasons: Vec<(String, String)>,
}

impl Verdict {
    /// Of an answer, which is read to its end, or to where it is not worth it.
    pub(crate) async fn of(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let data = beginning(body).await;
        if head.status.is_success() {
            return Self::Done;
        }
        let refusal = Refusal::answered(head.status, &head.headers, data);
        if comes_again(head.status) { Self::Later(refusal) } else { Self::Never(refusal) }
    }

    /// Of an attempt without an answer.
    pub(crate) fn unanswered(reason: String) -> Self {
        Self::Later(Refusal { data: Bytes::from(reason.clone()), reason, ..Refusal::default() })
    }
}

impl Refusal {
    fn answered(status: StatusCode, headers: &HeaderMap, data: Bytes) -> Self {
        let explains = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let name = name.as_str().strip_prefix(REASON_PREFIX)?;
            let value = &value.as_bytes()[..value.len().min(MAX_DATA_BYTES)];
            Some((name.to_owned(), String::from_utf8_lossy(value).into_owned()))
        };
        let reasons: Vec<_> = headers.iter().filter_map(explains).take(MAX_REASONS).collect();
        let told = match reasons.first() {
            Some((_, reason)) => reason.clone(),
            None => String::from_utf8_lossy(&data).into_owned(),
        };
        Self { reason: format!("answered {}: {told}", status.as_u16()), code: Some(status), data, reasons }
    }
}

fn comes_again(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::NOT_FOUND
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::CONFLICT
                | StatusCode::TOO_MANY_REQUESTS
        )
}

/// The beginning of a body. The status has said what counts, so a body that breaks off is as good as a short one.
async fn beginning(mut body: Incoming) -> Bytes {
    let (mut data, mut read) = (Vec::new(), 0);
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(bytes) = frame.into_data() else { continue };
        read += bytes.len();
        let room = MAX_DATA_BYTES - data.len();
        data.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if read > MAX_DISCARDED_BYTES {
            break;
        }
    }
    data.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_means_what_it_means_to_kafka_source() {
        let again = (100..1000).filter(|code| comes_again(StatusCode::from_u16(*code).unwrap()));
        let again: Vec<u16> = again.collect();
        assert_eq!(again[..4], [404, 408, 409, 429]);
        assert_eq!(again[4..], (500..600).collect::<Vec<_>>());
    }
}
