//! Log lines on standard error: coloured text for people, one JSON object a line for machines.

use std::fmt;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use clap::ValueEnum;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::TelemetryOptions;
use crate::error::Error;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// Text.
    Human,
    /// One JSON object a line.
    Json,
}

/// Sends log lines to standard error from now on.
pub(super) fn start(options: &TelemetryOptions) -> Result<(), Error> {
    let filter: Targets =
        options.log_level.parse().map_err(|error| Error::Telemetry(Box::new(error) as _))?;
    let is_terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let is_human = match options.log_format {
        LogFormat::Auto => is_terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines =
        if is_human { lines.with_ansi(is_terminal).boxed() } else { lines.event_format(JsonLines).boxed() };
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    subscriber.try_init().map_err(|error| Error::Telemetry(error.into()))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// A panic is a log line like any other: what is between lines would be lost on its way to a collector.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or("of an unknown kind");
    tracing::error!(location, "panicked: {message}");
}

/// One JSON object a line: `timestamp`, `level`, `target`, `message`, the line's own fields, and the ids of the trace
/// that it belongs to.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut members = Members::default();
        members.put("timestamp", timestamp);
        members.put("level", event.metadata().level().as_str());
        members.put("target", event.metadata().target());
        event.record(&mut members);
        let context = Context::current();
        let span = context.span().span_context().clone();
        if span.is_valid() {
            members.put("trace_id", span.trace_id().to_string());
            members.put("span_id", span.span_id().to_string());
        }
        writeln!(writer, "{}", Value::Object(members.0))
    }
}

#[derive(Default)]
struct Members(Map<String, Value>);

impl Members {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> Value {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).event_format(JsonLines).finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(lines.0.lock().expect("not poisoned").clone()).expect("text");
        assert_eq!(text.matches('\n').count(), 1, "one line: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn a_line_is_a_json_object() {
        let line =
            logged(|| tracing::warn!(lag_ms = 7, is_late = true, cause = "a \"b\"\n", "too {}", "late"));
        assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"too late".into()));
        assert_eq!((&line["lag_ms"], &line["is_late"]), (&7.into(), &true.into()));
        assert_eq!(line["cause"], "a \"b\"\n");
        assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        assert!(line.get("trace_id").is_none());
    }

    #[test]
    fn a_line_within_a_trace_names_it() {
        let (trace, span) = (TraceId::from(0x4bf9_2f35_77b3_4da6), SpanId::from(0x00f0_67aa));
        let span_context = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE);
        let _attached = Context::new().with_remote_span_context(span_context).attach();
        let line = logged(|| tracing::info!("within"));
        assert_eq!(line["trace_id"], trace.to_string());
        assert_eq!(line["span_id"], span.to_string());
    }
}
