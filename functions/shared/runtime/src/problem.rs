//! Refusals as RFC 9457 problem bodies, and which status code each kind of failure gets.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use function::{Failure, Refusal, Refused};
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

use crate::outgoing::{Answer, Outgoing};

/// The type of every problem body.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// What a browser asks for.
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"allezon\", charset=\"UTF-8\"");
/// KafkaSource copies response headers that begin with `kne-` into the event that it sends to the dead letters.
const REASON: HeaderName = HeaderName::from_static("kne-reason");
/// A reason may quote what was sent; nobody reads more than this of it.
const MAX_DETAIL_BYTES: usize = 1_024;
/// Header values travel through proxies with limits of their own.
const MAX_REASON_BYTES: usize = 512;
/// What a header value cannot hold, and the sign of the encoding itself. Non-ASCII is always encoded.
const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b'%');

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    field: Option<Cow<'static, str>>,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    /// What a status code asks for beside it.
    says: Option<Box<(HeaderName, HeaderValue)>>,
    close: bool,
}

/// The members of RFC 9457, and the field at fault.
#[derive(Serialize)]
struct Members<'p> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'p str>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, field: None, detail: detail.into(), retry_after: None, says: None, close: false }
    }

    /// Not now: try again in a second.
    pub(crate) fn overloaded(detail: &'static str) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }

    pub(crate) fn wrong_method(allow: HeaderValue) -> Self {
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "no such method here");
        Self { says: Some(Box::new((ALLOW, allow))), ..problem }
    }

    /// Who calls has to say who that is; a browser asks its user.
    pub(crate) fn unauthorized(detail: &'static str) -> Self {
        Self {
            says: Some(Box::new((WWW_AUTHENTICATE, BASIC))),
            ..Self::new(StatusCode::UNAUTHORIZED, detail)
        }
    }

    /// The connection cannot be used after this answer, since the request was not read to its end.
    pub(crate) fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    /// What a function's failure is in HTTP. For an event, a refusal must not be a status that brokers retry
    /// (404 and 507 are), since it can never succeed.
    pub(crate) fn of_failure(failure: Failure, is_event: bool) -> Self {
        match failure {
            Failure::Refused(Refusal { kind, field, reason }) => {
                Self { field, ..Self::new(status(kind, is_event), reason) }
            }
            Failure::Unavailable { reason, retry_after } => {
                Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, reason) }
            }
            Failure::Broken(_) => Self::broken(),
        }
    }

    /// Our own mistake; what it was is in the log.
    pub(crate) fn broken() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "an error of the server's own, see its log")
    }

    /// The answer to a plain request, or to an event: that one carries the reason in a header too.
    pub(crate) fn into_response(self, is_event: bool) -> Answer {
        let mut response = Response::new(Outgoing::whole(self.body()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        if is_event {
            headers.insert(REASON, self.reason());
        }
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        if let Some((name, value)) = self.says.map(|says| *says) {
            headers.insert(name, value);
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn body(&self) -> Bytes {
        let members = Members {
            // RFC 9457: no more meaning than the status code has.
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: shortened(&self.detail, MAX_DETAIL_BYTES),
            field: self.field.as_deref().map(|field| shortened(field, MAX_DETAIL_BYTES)),
        };
        Bytes::from(serde_json::to_vec(&members).expect("strings and a number are JSON"))
    }

    fn reason(&self) -> HeaderValue {
        let mut reason = String::new();
        let named = self.field.iter().flat_map(|field| [field.as_ref(), ": "]);
        for part in
            named.chain([self.detail.as_ref()]).flat_map(|text| utf8_percent_encode(text, NOT_IN_HEADERS))
        {
            let room = MAX_REASON_BYTES - reason.len();
            // A part is plain text, which may be cut anywhere, or one encoded byte, which may not.
            let fits = if part.starts_with('%') && part.len() > room { 0 } else { part.len().min(room) };
            reason.push_str(&part[..fits]);
        }
        HeaderValue::try_from(reason.trim()).expect("visible ASCII is a header value")
    }
}

fn status(kind: Refused, is_event: bool) -> StatusCode {
    match kind {
        Refused::Malformed => StatusCode::BAD_REQUEST,
        Refused::Unknown | Refused::Full if is_event => StatusCode::BAD_REQUEST,
        Refused::Unknown => StatusCode::NOT_FOUND,
        Refused::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refused::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refused::Full => StatusCode::INSUFFICIENT_STORAGE,
    }
}

/// `Retry-After` counts whole seconds, and 0 would call for a storm.
fn whole_seconds(after: Duration) -> u64 {
    (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1)
}

fn shortened(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn body(problem: Problem) -> serde_json::Value {
        let collected = problem.into_response(false).into_body().collect().await;
        serde_json::from_slice(&collected.expect("a full body").to_bytes()).expect("JSON")
    }

    #[tokio::test]
    async fn a_problem_names_field_and_reason() {
        let problem = Problem::of_failure(Failure::malformed("product_info.price", "not an int32"), false);
        assert_eq!(
            body(problem).await,
            serde_json::json!({"type": "about:blank", "title": "Bad Request", "status": 400,
                "detail": "not an int32", "field": "product_info.price"})
        );
    }

    #[tokio::test]
    async fn a_cause_of_our_own_is_not_told() {
        let told = body(Problem::of_failure(Failure::broken("the password is xyzzy"), false)).await;
        assert!(!told.to_string().contains("xyzzy"));
    }

    #[test]
    fn each_kind_has_its_status_and_events_are_refused_for_good() {
        let of =
            |kind, is_event| Problem::of_failure(Failure::refused(kind, None, ""), is_event).status.as_u16();
        let kinds =
            [Refused::Malformed, Refused::Unknown, Refused::TooLarge, Refused::Unsupported, Refused::Full];
        assert_eq!(kinds.map(|kind| of(kind, false)), [400, 404, 413, 415, 507]);
        assert_eq!(kinds.map(|kind| of(kind, true)), [400, 400, 413, 415, 400]);
    }

    #[test]
    fn a_reason_is_ascii_and_bounded() {
        let reason = |field: &'static str, detail: &str| {
            let response = Problem::of_failure(Failure::malformed(field, detail), true).into_response(true);
            response.headers()[REASON].to_str().expect("ASCII").to_owned()
        };
        assert_eq!(reason("time", "no Z"), "time: no Z");
        assert_eq!(reason("cookie", "100 % ł\r\nSet-Cookie: x"), "cookie: 100 %25 %C5%82%0D%0ASet-Cookie: x");
        assert!(reason("f", &"x".repeat(10_000)).len() <= MAX_REASON_BYTES);
        let cut = reason("f", &"ł".repeat(10_000));
        assert!(cut.len() <= MAX_REASON_BYTES);
        assert_eq!((cut.len() - "f: ".len()) % 3, 0, "no half an escape");
    }

    #[test]
    fn retry_after_is_a_whole_second_at_least() {
        let seconds = [0, 1, 1_000, 1_001, 59_999].map(|ms| whole_seconds(Duration::from_millis(ms)));
        assert_eq!(seconds, [1, 1, 1, 2, 60]);
    }

    #[test]
    fn long_details_are_cut_between_characters() {
        assert_eq!(shortened("ał", 2), "a");
        assert_eq!(shortened("ał", 3), "ał");
    }
}
