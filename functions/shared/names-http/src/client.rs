//! One request to the id-service: within its time, within its size, and told apart by what it means for the asker.

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::circuit::Circuit;
use crate::options::{ConfigError, NamesOptions, address};
use crate::trouble::Trouble;
use crate::wire;

/// Requests at once, and so connections. There is one at a time for each collection and kind of question; a function asks
/// for four collections.
const MAX_REQUESTS: usize = 16;
/// Servers of ours close a connection that was idle for 120 s; who sends must be the one that closes.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// So much of a refusal is told.
const MAX_REFUSAL_BYTES: usize = 256;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The id-service.
#[derive(Debug)]
pub(crate) struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    ids: Uri,
    elements: Uri,
    timeout: Duration,
    permits: Semaphore,
    circuit: Circuit,
    requests: Counter<u64>,
    spared: Counter<u64>,
}

impl Client {
    /// Connects when it is first asked.
    pub(crate) fn new(options: &NamesOptions) -> Result<Self, ConfigError> {
        let timeout = Duration::from_millis(options.id_service_timeout_ms);
        let meter = global::meter("names-http");
        Ok(Self {
            http: http(timeout),
            ids: address(&options.id_service_url, wire::GET_IDS)?,
            elements: address(&options.id_service_url, wire::GET_ELEMENTS)?,
            timeout,
            permits: Semaphore::new(MAX_REQUESTS),
            circuit: Circuit::new(timeout),
            requests: meter
                .u64_counter("allezon.names.requests")
                .with_description("Requests to the id-service, by what came of them.")
                .with_unit("{request}")
                .build(),
            spared: meter
                .u64_counter("allezon.names.requests_spared")
                .with_description("Requests that were not sent, since the id-service had just failed.")
                .with_unit("{request}")
                .build(),
        })
    }

    /// Asks, unless the id-service has just failed.
    pub(crate) async fn post(&self, route: &'static str, question: Bytes) -> Result<Bytes, Trouble> {
        if !self.circuit.admits(Instant::now()) {
            self.spared.add(1, &[]);
            return Err(Trouble::Down("the id-service has just failed".to_owned()));
        }
        self.post_now(route, question).await
    }

    /// Asks, whatever was before.
    pub(crate) async fn post_now(&self, route: &'static str, question: Bytes) -> Result<Bytes, Trouble> {
        let exchange = timeout(self.timeout, self.exchange(route, question)).await;
        let told = exchange.unwrap_or_else(|_| {
            Err(Trouble::Down(format!("no answer of the id-service within {} ms", self.timeout.as_millis())))
        });
        let outcome = match &told {
            Ok(_) => "answered",
            Err(Trouble::Down(_)) => "failed",
            Err(Trouble::Full | Trouble::Refused(_)) => "refused",
        };
        self.requests.add(1, &[KeyValue::new("outcome", outcome)]);
        if let Err(Trouble::Down(reason)) = &told {
            self.circuit.open(Instant::now());
            tracing::warn!(reason, "the id-service failed: names are not asked for a moment");
        } else {
            self.circuit.close();
        }
        told
    }

    async fn exchange(&self, route: &'static str, question: Bytes) -> Result<Bytes, Trouble> {
        let _permit = self.permits.acquire().await.expect("never closed");
        let response = match self.send(route, question.clone()).await {
            // Numbers never change, so to ask twice is harmless: the server may have closed the connection as we wrote.
            Err(error) if broke_off(&error) => self.send(route, question).await,
            sent => sent,
        };
        let response = response.map_err(|error| Trouble::Down(format!("no answer: {}", chain(&error))))?;
        judge(response).await
    }

    async fn send(&self, route: &'static str, question: Bytes) -> Result<Response<Incoming>, legacy::Error> {
        let uri = if route == wire::GET_IDS { &self.ids } else { &self.elements };
        let mut request = Request::new(Full::new(question));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        self.http.request(request).await
    }
}

fn http(connect_time: Duration) -> legacy::Client<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect_time));
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(MAX_REQUESTS)
        .build(connector)
}

async fn judge(response: Response<Incoming>) -> Result<Bytes, Trouble> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, wire::MAX_ANSWER_BYTES).collect().await;
    let text = body.map_err(|error| Trouble::Down(format!("the answer broke off: {}", chain(&*error))))?;
    let text = text.to_bytes();
    let told = || {
        let told = String::from_utf8_lossy(&text[..text.len().min(MAX_REFUSAL_BYTES)]).into_owned();
        format!("the id-service answered {}: {told}", head.status.as_u16())
    };
    match head.status {
        StatusCode::OK => Ok(text),
        StatusCode::INSUFFICIENT_STORAGE => Err(Trouble::Full),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Err(Trouble::Refused(told())),
        _ => Err(Trouble::Down(told())),
    }
}

/// Whether a connection that was there ended before an answer began.
fn broke_off(error: &legacy::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    !error.is_connect() && cause.is_some_and(|cause| !cause.is_parse())
}

/// An error and its causes in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&dyn StdError| (*cause).source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}
