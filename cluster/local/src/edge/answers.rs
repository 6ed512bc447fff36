//! What the edge answers by itself.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::task::JoinSet;

use super::Upstream;
use crate::client::{Body, Client, is_ready};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

/// A refusal as RFC 9457 has it. The detail is our own text, without quotes.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or("Error");
    let number = status.as_u16();
    let text = format!(r#"{{"type":"about:blank","title":"{title}","status":{number},"detail":"{detail}"}}"#);
    let mut response = answer(status, PROBLEM_JSON, text.into());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Whether every part is ready, and which are not.
pub(super) async fn health(client: &Client, upstreams: &[Upstream]) -> Response<Body> {
    let mut asked: JoinSet<(&'static str, bool)> = upstreams
        .iter()
        .map(|upstream| {
            let (client, name, address) = (client.clone(), upstream.name, upstream.address);
            async move { (name, is_ready(&client, address).await) }
        })
        .collect();
    let mut parts = Vec::new();
    while let Some(told) = asked.join_next().await {
        parts.extend(told);
    }
    parts.sort_unstable();
    let is_ready = parts.iter().all(|(_, is_ready)| *is_ready);
    let word = |is_ready| if is_ready { "ok" } else { "not ready" };
    let members: Vec<String> =
        parts.iter().map(|(name, is_ready)| format!(r#""{name}":"{}""#, word(*is_ready))).collect();
    let text = format!(r#"{{"status":"{}","functions":{{{}}}}}"#, word(is_ready), members.join(","));
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, JSON, text.into())
}

/// The edge itself is there.
pub(super) fn alive() -> Response<Body> {
    answer(StatusCode::OK, JSON, Bytes::from_static(br#"{"status":"ok"}"#))
}

/// What all functions offer together.
pub(super) fn openapi() -> Response<Body> {
    answer(StatusCode::OK, JSON, Bytes::from_static(OPENAPI.as_bytes()))
}

fn answer(status: StatusCode, content_type: HeaderValue, text: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(text).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
