//! A span for each request, joined to its caller's trace by W3C trace context, and for work on events that no request brings.

use std::fmt;
use std::time::SystemTime;

use cloudevents::{AttributesReader, Event};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{FutureExt, Link, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use crate::events::extension;

/// Begins the spans of requests.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
}

impl Traces {
    pub(super) fn start(
        endpoint: &str,
        ratio: f64,
        resource: Resource,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).build()?;
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        opentelemetry::global::set_tracer_provider(provider.clone());
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        Ok(Self { tracer: provider.tracer("runtime"), provider, propagator: TraceContextPropagator::new() })
    }

    pub(super) fn stop(&self) -> OTelSdkResult {
        self.provider.shutdown()
    }

    /// The span of a request that began at this time. An event's own trace is the parent, since it began where the
    /// event did; the trace of its delivery becomes a link.
    pub(crate) fn start_span(
        &self,
        route: &'static str,
        parts: &Parts,
        event: Option<&Event>,
        started: SystemTime,
    ) -> Context {
        let delivery = self.propagator.extract_with_context(&Context::new(), &Headers(&parts.headers));
        let origin =
            event.map(|event| self.propagator.extract_with_context(&Context::new(), &Extensions(event)));
        let origin = origin.filter(Context::has_active_span);
        let links = origin.iter().filter(|_| delivery.has_active_span());
        let links = links.map(|_| Link::new(delivery.span().span_context().clone(), Vec::new(), 0)).collect();
        let parent = origin.as_ref().unwrap_or(&delivery);
        let asked_for = parent.span().span_context().is_sampled();
        let span = self
            .tracer
            .span_builder(format!("{} {route}", parts.method))
            .with_kind(SpanKind::Server)
            .with_start_time(started)
            .with_links(links)
            .with_attributes(attributes(route, parts, event))
            .start_with_context(&self.tracer, parent);
        let context = parent.with_span(span);
        if asked_for { context.with_value(AskedFor) } else { context }
    }
}

/// The caller wants this trace. It is followed in the logs too, a line for each of its requests.
struct AskedFor;

/// Ends a request's span with what it was answered.
pub(crate) fn end_span(context: &Context, status: StatusCode) {
    let span = context.span();
    if context.get::<AskedFor>().is_some() {
        let _within = context.clone().attach();
        tracing::info!(target: "trace", status = status.as_u16(), "answered a request whose trace was asked for");
    }
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_server_error() {
        span.set_status(Status::error(status.canonical_reason().unwrap_or_default()));
    }
    span.end();
}

/// Where an event comes from, for a worker that reads the log itself: its work becomes a span of the event's trace.
#[derive(Debug)]
pub struct Origin(Option<Context>);

impl Origin {
    /// The trace that this event began in, if that one is kept.
    pub fn of(event: &Event) -> Self {
        let origin = TraceContextPropagator::new().extract_with_context(&Context::new(), &Extensions(event));
        let is_kept = origin.span().span_context().is_sampled();
        Self(is_kept.then_some(origin))
    }

    /// Does this work within a span of that name, and logs its end as that of a request.
    pub async fn follow<T, E: fmt::Display>(
        self,
        name: &'static str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(origin) = self.0 else { return work.await };
        let tracer = opentelemetry::global::tracer("runtime");
        let span =
            tracer.span_builder(name).with_kind(SpanKind::Consumer).start_with_context(&tracer, &origin);
        let context = origin.with_span(span);
        let done = work.with_context(context.clone()).await;
        let _within = context.clone().attach();
        let error = done.as_ref().err().map(ToString::to_string);
        tracing::info!(target: "trace", function = name, error, "worked on an event whose trace was asked for");
        if let Some(error) = error {
            context.span().set_status(Status::error(error));
        }
        context.span().end();
        done
    }
}

fn attributes(route: &'static str, parts: &Parts, event: Option<&Event>) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("http.request.method", parts.method.to_string()),
        KeyValue::new("http.route", route),
        KeyValue::new("url.path", parts.uri.path().to_owned()),
    ];
    if let Some(event) = event {
        attributes.extend([
            KeyValue::new("cloudevents.event_id", event.id().to_owned()),
            KeyValue::new("cloudevents.event_source", event.source().clone()),
            KeyValue::new("cloudevents.event_type", event.ty().to_owned()),
        ]);
    }
    attributes
}

struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// CloudEvents' distributed tracing extension: the same two names as attributes.
struct Extensions<'e>(&'e Event);

impl Extractor for Extensions<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        extension(self.0, key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter_extensions().map(|(name, _)| name).collect()
    }
}
