//! The HTTP client of the edge, of the ticks and of the questions whether a part is ready.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client as LegacyClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Client = LegacyClient<HttpConnector, Body>;

/// On loopback it is there at once, or its queue is full.
const CONNECT: Duration = Duration::from_secs(1);
/// Shorter than the functions keep idle connections (120 s), so that it is us who close them.
const IDLE: Duration = Duration::from_secs(60);
/// As many as may be in use at once with some hundred clients.
const IDLE_CONNECTIONS: usize = 512;
/// A probe makes no remote call: it is answered at once or not at all.
const PROBE: Duration = Duration::from_secs(1);

pub(crate) fn client() -> Client {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_nodelay(true);
    LegacyClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build(connector)
}

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Whether the part at this address is ready.
pub(crate) async fn is_ready(client: &Client, address: SocketAddr) -> bool {
    let mut request = Request::new(empty());
    *request.method_mut() = Method::GET;
    let uri = format!("http://{address}/health/readiness");
    *request.uri_mut() = uri.parse().expect("an address makes a URI");
    matches!(timeout(PROBE, client.request(request)).await, Ok(Ok(answer)) if answer.status() == StatusCode::OK)
}
