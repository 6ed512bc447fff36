//! Metrics of the requests, by OpenTelemetry's semantic conventions for HTTP servers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};
use opentelemetry_otlp::{MetricExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::Registry;

use crate::gate::Gate;

/// The convention's bounds in seconds, and three below them: most answers here take less than 5 ms.
const BOUNDS: [f64; 17] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// All others are `_OTHER`, as the convention says: a client must not be able to make up time series.
const METHODS: [&str; 6] = ["POST", "GET", "DELETE", "HEAD", "PUT", "OPTIONS"];
/// Every status that this runtime answers with; all others share the last place, 500.
const STATUSES: [u16; 14] = [204, 200, 400, 401, 403, 404, 405, 408, 413, 415, 421, 503, 507, 500];

/// Measures requests. The labels of each series are built once.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    durations: Histogram<f64>,
    /// By path, the last for unknown ones; then by method and status.
    series: Vec<Series>,
}

#[derive(Debug)]
struct Series {
    route: Option<&'static str>,
    labels: [[OnceLock<Vec<KeyValue>>; STATUSES.len()]; METHODS.len() + 1],
}

impl RequestMetrics {
    pub(super) fn new(
        meter: &Meter,
        routes: impl Iterator<Item = &'static str>,
        gate: &Arc<Gate>,
        open: &Arc<AtomicUsize>,
    ) -> Self {
        observe_now(meter, gate.clone(), open.clone());
        let durations = meter
            .f64_histogram("http.server.request.duration")
            .with_unit("s")
            .with_description("Duration of HTTP server requests")
            .with_boundaries(BOUNDS.to_vec())
            .build();
        let series = routes.map(Some).chain([None]).map(Series::new).collect();
        Self { durations, series }
    }

    /// Notes one answer on the path of this index, or on none.
    pub(crate) fn record(
        &self,
        path: Option<usize>,
        method: &Method,
        status: StatusCode,
        duration: Duration,
    ) {
        let series = &self.series[path.unwrap_or(self.series.len() - 1)];
        self.durations.record(duration.as_secs_f64(), series.labels(method, status));
    }
}

impl Series {
    fn new(route: Option<&'static str>) -> Self {
        Self { route, labels: Default::default() }
    }

    fn labels(&self, method: &Method, status: StatusCode) -> &[KeyValue] {
        let by_name = METHODS.iter().position(|known| *known == method.as_str());
        let by_code =
            STATUSES.iter().position(|known| *known == status.as_u16()).unwrap_or(STATUSES.len() - 1);
        self.labels[by_name.unwrap_or(METHODS.len())][by_code].get_or_init(|| {
            let method = by_name.map_or("_OTHER", |index| METHODS[index]);
            let mut labels = vec![
                KeyValue::new("http.request.method", method),
                KeyValue::new("http.response.status_code", i64::from(STATUSES[by_code])),
            ];
            labels.extend(self.route.map(|route| KeyValue::new("http.route", route)));
            labels
        })
    }
}

/// Gives metrics to the registry, and to the collector if there is one.
pub(super) fn provider(
    registry: &Registry,
    endpoint: Option<&str>,
    resource: Resource,
) -> Result<SdkMeterProvider, Box<dyn std::error::Error + Send + Sync>> {
    let prometheus = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
    let mut provider = SdkMeterProvider::builder().with_reader(prometheus).with_resource(resource);
    if let Some(endpoint) = endpoint {
        let endpoint = format!("{}/v1/metrics", endpoint.trim_end_matches('/'));
        let exporter = MetricExporter::builder().with_http().with_endpoint(endpoint).build()?;
        provider = provider.with_periodic_exporter(exporter);
    }
    Ok(provider.build())
}

/// Numbers that are counted anyway are only looked at when somebody asks.
fn observe_now(meter: &Meter, gate: Arc<Gate>, open: Arc<AtomicUsize>) {
    meter
        .i64_observable_up_down_counter("http.server.active_requests")
        .with_unit("{request}")
        .with_description("Requests that have arrived and are being answered")
        .with_callback(move |observer| observer.observe(gate.requests() as i64, &[]))
        .build();
    meter
        .i64_observable_up_down_counter("http.server.open_connections")
        .with_unit("{connection}")
        .with_description("Open connections, idle ones included")
        .with_callback(move |observer| observer.observe(open.load(Ordering::Relaxed) as i64, &[]))
        .build();
}
