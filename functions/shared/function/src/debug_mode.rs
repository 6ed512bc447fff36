//! Debug mode: the shop's test platform sends the expected answer as a query's body, and we tell how often we agree.

use std::future::Future;

use model::TagTime;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use serde_json::Value;

use crate::{Call, Description, Failure, Function, Reply};

/// A query function that compares its answer with a body that is not empty. It never changes the answer.
#[derive(Debug)]
pub struct DebugMode<F> {
    function: F,
    comparisons: Counter<u64>,
}

impl<F: Function> DebugMode<F> {
    /// Around this function.
    pub fn around(function: F) -> Self {
        let comparisons = opentelemetry::global::meter("debug-mode")
            .u64_counter("allezon.debug.comparisons")
            .with_description("Answers compared with what the test platform expected.")
            .with_unit("{answer}")
            .build();
        Self { function, comparisons }
    }

    fn compare(&self, expected: &[u8], answer: &[u8]) {
        let agrees = same(expected, answer);
        let name = self.function.describe().name;
        let result = if agrees { "match" } else { "mismatch" };
        self.comparisons.add(1, &[KeyValue::new("function", name), KeyValue::new("result", result)]);
        if !agrees {
            let (expected, answer) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(answer));
            tracing::warn!(function = name, %expected, %answer, "answer is not the expected one");
        }
    }
}

impl<F: Function> Function for DebugMode<F> {
    fn describe(&self) -> Description {
        self.function.describe()
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let expected = match &call {
            Call::Http(request) if !request.body.is_empty() => Some(request.body.clone()),
            _ => None,
        };
        let result = self.function.call(call).await;
        if let (Some(expected), Ok(Reply::Answer { json, .. })) = (expected, &result) {
            self.compare(&expected, json);
        }
        result
    }
}

impl<F: Function> Function for std::sync::Arc<F> {
    fn describe(&self) -> Description {
        (**self).describe()
    }

    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, Failure>> + Send {
        (**self).call(call)
    }
}

/// Whether both texts say the same: as objects, times as instants, `null` as `[]`.
fn same(expected: &[u8], answer: &[u8]) -> bool {
    let parse = |text| serde_json::from_slice::<Value>(text).map(|value| plain(value, None));
    matches!((parse(expected), parse(answer)), (Ok(expected), Ok(answer)) if expected == answer)
}

fn plain(value: Value, key: Option<&str>) -> Value {
    match value {
        Value::Null => Value::Array(Vec::new()),
        Value::Array(items) => items.into_iter().map(|item| plain(item, None)).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key.clone(), plain(value, Some(&key)))).collect()
        }
        Value::String(text) if key == Some("time") => match TagTime::parse(&text) {
            Some(time) => Value::Array(vec![time.instant().ms().into(), time.sub_ms_nanos().into()]),
            None => Value::String(text),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_as_objects() {
        let answer = br#"{"cookie":"c","views":[],"buys":[{"time":"2022-03-22T12:15:00.100Z","price":1}]}"#;
        assert!(same(answer, answer));
        assert!(same(
            br#"{"views":null,"buys":[{"price":1,"time":"2022-03-22T12:15:00.1Z"}],"cookie":"c"}"#,
            answer
        ));
        assert!(!same(
            br#"{"views":null,"buys":[{"price":2,"time":"2022-03-22T12:15:00.1Z"}],"cookie":"c"}"#,
            answer
        ));
        assert!(!same(br#"{"views":null,"buys":[],"cookie":"c"}"#, answer));
        assert!(!same(b"not json", answer));
        assert!(!same(
            br#"{"views":null,"buys":[{"price":1,"time":"2022-03-22T12:15:00.101Z"}],"cookie":"c"}"#,
            answer
        ));
    }
}
