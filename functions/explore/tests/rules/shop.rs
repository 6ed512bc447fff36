//! `explore` over the embedded store, with `aggregate-worker` and `sealer` to change what is in it.

use aggregate_worker::AggregateWorker;
use cloudevents::{EventBuilder, EventBuilderV10};
use explore::event::{ANSWER_TYPE, QUESTION_TYPE};
use explore::{Explore, KEPT_BYTES};
use function::{Call, Failure, Function, Reply, Request};
use http::{HeaderMap, HeaderValue, Method, header};
use model::{AcceptedTag, Batch, BatchId, UserTag};
use sealer::Sealer;
use serde_json::Value;
use store_embedded::EmbeddedStore;
use tempfile::TempDir;

/// The function, and what it stands on.
pub(crate) struct Shop {
    pub(crate) function: Explore<EmbeddedStore>,
    pub(crate) worker: AggregateWorker,
    pub(crate) sealer: Sealer<EmbeddedStore>,
    pub(crate) store: EmbeddedStore,
    _directory: TempDir,
}

impl Shop {
    pub(crate) fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = EmbeddedStore::open(directory.path(), Default::default()).expect("the store opens");
        let (worker, packing) = AggregateWorker::new(store.clone());
        tokio::spawn(packing);
        let function = Explore::new(store.clone(), KEPT_BYTES);
        Self { function, worker, sealer: Sealer::new(store.clone()), store, _directory: directory }
    }

    /// Puts a batch of the source that all tests have.
    pub(crate) async fn put(&self, sequence: u64, tags: impl IntoIterator<Item = UserTag>) {
        let id = BatchId { source: "/user-tags/test".into(), sequence };
        let tags = tags.into_iter().map(|tag| AcceptedTag { tag, identity: None }).collect();
        self.worker.apply(id, Batch { accepted_ms: 1, tags }).await.expect("puts");
    }

    /// The answer to a question, as a text; or why there is none.
    pub(crate) async fn ask(&self, accept: &'static str, question: &str) -> String {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        match self.function.call(posted(headers, question)).await {
            Ok(Reply::Document(document)) => {
                let wanted = if accept.starts_with("text/csv") { "text/csv" } else { "application/json" };
                assert!(document.content_type.starts_with(wanted), "{}", document.content_type);
                String::from_utf8(document.body.into()).expect("UTF-8")
            }
            Err(Failure::Refused(refusal)) => format!("refused: {refusal}"),
            other => panic!("{other:?}"),
        }
    }

    /// The same as an event.
    pub(crate) async fn ask_by_event(&self, question: &str) -> Value {
        let event = EventBuilderV10::new().id("1").source("/s").ty(QUESTION_TYPE);
        let event = event.data("application/json", question.to_owned()).build().expect("an event");
        match self.function.call(Call::Event(Box::new(event))).await {
            Ok(Reply::Answer { json, event_type: ANSWER_TYPE }) => {
                serde_json::from_slice(&json).expect("JSON")
            }
            other => panic!("{other:?}"),
        }
    }

    /// When this is asked of the hour after noon, then these rows are answered, as JSON.
    pub(crate) async fn check(&self, when: &str, rows: &str) {
        let question = format!(r#"{{"time_range":"2022-03-22T12:00:00_2022-03-22T13:00:00"{when}}}"#);
        let answer: Value =
            serde_json::from_str(&self.ask("application/json", &question).await).expect("JSON");
        let rows: Value = serde_json::from_str(rows).expect("JSON");
        assert_eq!(answer["rows"], rows, "{when}");
    }
}

/// A question as it is posted.
pub(crate) fn posted(headers: HeaderMap, question: &str) -> Call {
    Call::Http(Request {
        method: Method::POST,
        route: "/explore",
        segment: String::new(),
        query: String::new(),
        headers,
        body: question.to_owned().into(),
    })
}

/// A tag with these action, country, device, origin, brand and category, at minutes and seconds after noon.
pub(crate) fn tag(at: &str, names: [&str; 6], price: i32) -> UserTag {
    let [action, country, device, origin, brand, category] = names.map(|name| Value::from(name).to_string());
    let text = format!(
        r#"{{"time":"2022-03-22T12:{at}Z","cookie":"c","country":{country},"device":{device},"action":{action},"origin":{origin},"product_info":{{"product_id":7,"brand_id":{brand},"category_id":{category},"price":{price}}}}}"#
    );
    UserTag::from_json(text.as_bytes()).expect("a tag")
}
