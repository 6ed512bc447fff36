//! What every server answers by itself: health, version, metrics, and fixed pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::mounts::{HealthDetails, StaticPage};
use crate::outgoing::{Answer, Outgoing};
use crate::telemetry::Telemetry;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The version of Prometheus' text format that its library writes.
const PROMETHEUS_TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

/// Whether a server wants requests; a handle that may be cloned and kept. It says no while a function is not ready,
/// and from the moment when the server begins to drain.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<Flags>);

#[derive(Debug)]
struct Flags {
    ready: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Flags { ready: AtomicBool::new(true), draining: AtomicBool::new(false) }))
    }

    /// Says from now on that the server is ready, or that it is not. A server starts ready.
    pub fn set(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether the server is ready and not draining.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed) && !self.is_draining()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }
}

/// One of the runtime's own pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Health,
    Readiness,
    Liveness,
    Version,
    Metrics,
    /// The fixed page of this index.
    Static(usize),
}

impl Page {
    /// Every page with its path.
    pub(crate) fn all(fixed: &[StaticPage]) -> impl Iterator<Item = (&'static str, Self)> {
        let own = [
            ("/health", Self::Health),
            ("/health/readiness", Self::Readiness),
            ("/health/liveness", Self::Liveness),
            ("/version", Self::Version),
            ("/metrics", Self::Metrics),
        ];
        own.into_iter().chain(fixed.iter().enumerate().map(|(index, page)| (page.path, Self::Static(index))))
    }
}

/// What the pages are made of.
pub(crate) struct Pages {
    pub(crate) readiness: Readiness,
    pub(crate) telemetry: Telemetry,
    health: Option<Box<HealthDetails>>,
    version: Bytes,
    fixed: Vec<StaticPage>,
}

impl Pages {
    pub(crate) fn new(
        (name, version): (&str, &str),
        fixed: Vec<StaticPage>,
        health: Option<Box<HealthDetails>>,
        (readiness, telemetry): (Readiness, Telemetry),
    ) -> Self {
        let revision = std::env::var("K_REVISION").unwrap_or_else(|_| "none".to_owned());
        let version = json!({"name": name, "version": version, "revision": revision}).to_string();
        Self { readiness, telemetry, health, version: version.into(), fixed }
    }

    pub(crate) fn answer(&self, page: Page) -> Answer {
        match page {
            Page::Health => ok(JSON, self.health()),
            Page::Liveness => ok(JSON, status("ok", Map::new())),
            Page::Readiness if self.readiness.is_ready() => ok(JSON, status("ok", Map::new())),
            Page::Readiness => {
                let mut response = ok(JSON, status("not ready", Map::new()));
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
            Page::Version => ok(JSON, self.version.clone()),
            Page::Metrics => ok(PROMETHEUS_TEXT, self.telemetry.prometheus_text()),
            Page::Static(index) => {
                let page = &self.fixed[index];
                let content_type = HeaderValue::from_static(page.content_type);
                ok(content_type, Bytes::from_static(page.body.as_bytes()))
            }
        }
    }

    fn health(&self) -> Bytes {
        status("ok", self.health.as_ref().map(|details| details()).unwrap_or_default())
    }
}

fn status(status: &str, details: Map<String, Value>) -> Bytes {
    let mut members = Map::from_iter([("status".to_owned(), Value::from(status))]);
    members.extend(details);
    Value::Object(members).to_string().into()
}

fn ok(content_type: HeaderValue, body: Bytes) -> Answer {
    let mut response = Response::new(Outgoing::whole(body));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
