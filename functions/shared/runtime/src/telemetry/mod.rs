//! Logs, metrics and traces: OpenTelemetry's interfaces inside, Prometheus text and OTLP outside.

mod logs;
mod metrics;
mod traces;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use clap::Args;
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};

use crate::error::Error;
use crate::gate::Gate;

pub use logs::LogFormat;
pub(crate) use metrics::RequestMetrics;
pub use traces::Origin;
pub(crate) use traces::{Traces, end_span};

/// All traces, unless somebody says otherwise: who configures a collector wants to see something.
const TRACE_RATIO: f64 = 1.0;
/// OpenTelemetry tells of each of its steps at `info`.
const LOG_LEVEL: &str = "info,opentelemetry=warn";

/// Logs, metrics and traces.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryOptions {
    /// Form of log lines; auto is human on a terminal and json elsewhere
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
    /// What is logged: a level, or directives such as info,runtime=debug
    #[arg(long, env = "LOG_LEVEL", default_value = LOG_LEVEL)]
    pub log_level: String,
    /// Base URL of an OTLP collector (HTTP, protobuf) for metrics and traces; none, none are sent
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Part of the traces that begin here and are sent, 0 to 1; others are decided by who began them
    #[arg(long, env = "TRACE_RATIO", default_value_t = TRACE_RATIO)]
    pub trace_ratio: f64,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Auto,
            log_level: LOG_LEVEL.to_owned(),
            otlp_endpoint: None,
            trace_ratio: TRACE_RATIO,
        }
    }
}

/// The telemetry of a process; a handle that may be cloned.
#[derive(Debug, Clone)]
pub struct Telemetry(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    registry: Registry,
    meters: SdkMeterProvider,
    traces: Option<Traces>,
}

impl Telemetry {
    /// Starts logs, metrics and, with a collector configured, traces, all in the name of this service. To be called
    /// once in a process, before anything uses `tracing` or `opentelemetry::global`.
    pub fn start(options: &TelemetryOptions, service: &'static str) -> Result<Self, Error> {
        logs::start(options)?;
        let endpoint = options.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
        let resource = resource(service);
        let registry = Registry::new();
        let meters = metrics::provider(&registry, endpoint, resource.clone()).map_err(Error::Telemetry)?;
        opentelemetry::global::set_meter_provider(meters.clone());
        let traces = endpoint
            .map(|endpoint| Traces::start(endpoint, options.trace_ratio, resource))
            .transpose()
            .map_err(Error::Telemetry)?;
        Ok(Self(Arc::new(Parts { registry, meters, traces })))
    }

    /// Sends what has not been sent yet, and ends. Waits for the collector for some seconds at most; it blocks, so it
    /// is the last thing in a `main`.
    pub fn stop(&self) {
        let meters = self.0.meters.shutdown();
        let traces = self.0.traces.as_ref().map_or(Ok(()), Traces::stop);
        for error in [meters, traces].into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "telemetry was not sent to its end");
        }
    }

    /// All metrics as Prometheus reads them.
    pub fn prometheus_text(&self) -> Bytes {
        let text = TextEncoder::new().encode_to_string(&self.0.registry.gather());
        text.map(Bytes::from).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be written");
            Bytes::new()
        })
    }

    /// None where traces are off, and then nothing is to be spent on them.
    pub(crate) fn traces(&self) -> Option<&Traces> {
        self.0.traces.as_ref()
    }

    pub(crate) fn request_metrics(
        &self,
        routes: impl Iterator<Item = &'static str>,
        gate: &Arc<Gate>,
        open: &Arc<AtomicUsize>,
    ) -> RequestMetrics {
        RequestMetrics::new(&self.0.meters.meter("runtime"), routes, gate, open)
    }
}

fn resource(service: &'static str) -> Resource {
    let revision =
        std::env::var("K_REVISION").ok().map(|revision| KeyValue::new("service.version", revision));
    // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are read by the builder.
    let builder = Resource::builder().with_attributes(revision);
    match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => builder.build(),
        None => builder.with_service_name(service).build(),
    }
}
