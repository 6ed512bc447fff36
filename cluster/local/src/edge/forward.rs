//! The way of one request to a function and of its answer back.

use std::net::IpAddr;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Error as ClientError;
use tokio::time::{Instant, sleep, timeout};

use super::Upstream;
use super::answers::problem;
use super::headers::{prepare, remove_hop_by_hop};
use super::shared_body::{Held, SharedBody};
use crate::client::{Body, BoxError, Client};

/// A function that was killed is back sooner; longer, the client decides for itself.
const AWAY: Duration = Duration::from_secs(3);
/// The pause between attempts to reach one that is away.
const PAUSE: Duration = Duration::from_millis(50);
/// Beyond every time-out of the functions: one that is stopped gives no answer at all.
const ANSWER: Duration = Duration::from_secs(30);

/// Sends a request to its function. Only a request of which nothing was sent is tried again.
pub(super) async fn forward(
    client: &Client,
    upstream: &Upstream,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Response<Body> {
    let gate = upstream.gate.clone().read_owned().await;
    let (mut head, body) = request.into_parts();
    let body = SharedBody::new(body);
    prepare(&mut head.headers, peer);
    head.version = Version::HTTP_11;
    head.uri = at(upstream, head.uri.into_parts().path_and_query);
    let until = Instant::now() + AWAY;
    loop {
        let attempt = Request::from_parts(head.clone(), body.clone().map_err(BoxError::from).boxed_unsync());
        match timeout(ANSWER, client.request(attempt)).await {
            Ok(Ok(answer)) => {
                let (mut head, body) = answer.into_parts();
                remove_hop_by_hop(&mut head.headers);
                let held = Held { body, _gate: gate };
                return Response::from_parts(head, held.map_err(BoxError::from).boxed_unsync());
            }
            Ok(Err(error)) if error.is_connect() && Instant::now() < until => sleep(PAUSE).await,
            Ok(Err(error)) => return failed(upstream, &error),
            Err(_over) => {
                return problem(StatusCode::GATEWAY_TIMEOUT, &format!("{} gives no answer", upstream.name));
            }
        }
    }
}

fn at(upstream: &Upstream, path: Option<PathAndQuery>) -> Uri {
    let authority = Authority::try_from(upstream.address.to_string()).expect("an address is an authority");
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(path.unwrap_or(PathAndQuery::from_static("/")))
        .build()
        .expect("all parts are there")
}

fn failed(upstream: &Upstream, error: &ClientError) -> Response<Body> {
    // One that has broken off may or may not have done what it was asked; the contract's 503 says just that.
    let what = if error.is_connect() { "is away" } else { "has broken off" };
    problem(StatusCode::SERVICE_UNAVAILABLE, &format!("{} {what}", upstream.name))
}
