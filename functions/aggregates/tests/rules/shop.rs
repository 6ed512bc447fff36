//! `aggregates` over the embedded store, with `aggregate-worker` and `sealer` to change what is in it.

use aggregate_worker::AggregateWorker;
use aggregates::Aggregates;
use aggregates::event::{ANSWER_TYPE, QUESTION_TYPE};
use cloudevents::{Data, EventBuilder, EventBuilderV10};
use function::{Call, Failure, Function, Reply, Request};
use http::{HeaderMap, Method};
use model::{AcceptedTag, Action, Batch, BatchId, OwnIdentity, UserTag};
use sealer::Sealer;
use store_embedded::EmbeddedStore;
use tempfile::TempDir;

/// The function, and what it stands on.
pub(crate) struct Shop {
    pub(crate) function: Aggregates<EmbeddedStore>,
    pub(crate) worker: AggregateWorker,
    pub(crate) sealer: Sealer<EmbeddedStore>,
    pub(crate) store: EmbeddedStore,
    _directory: TempDir,
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self::caching(1 << 20)
    }

    /// With a cache of so many bytes.
    pub(crate) fn caching(cached_bytes: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = EmbeddedStore::open(directory.path(), Default::default()).expect("the store opens");
        let (worker, packing) = AggregateWorker::new(store.clone());
        tokio::spawn(packing);
        let function = Aggregates::new(store.clone(), cached_bytes);
        Self { function, worker, sealer: Sealer::new(store.clone()), store, _directory: directory }
    }

    /// Puts a batch of the source that all tests have.
    pub(crate) async fn put(&self, sequence: u64, tags: impl IntoIterator<Item = AcceptedTag>) {
        let id = BatchId { source: "/user-tags/test".into(), sequence };
        let batch = Batch { accepted_ms: 1, tags: tags.into_iter().collect() };
        self.worker.apply(id, batch).await.expect("puts");
    }

    /// What a call is answered: the text of the answer, or a word.
    pub(crate) async fn call(&self, call: Call) -> String {
        match self.function.call(call).await {
            Ok(Reply::Answer { json, event_type }) => {
                assert_eq!(event_type, ANSWER_TYPE);
                String::from_utf8(json.into()).expect("JSON is UTF-8")
            }
            Err(Failure::Refused(refusal)) => format!("refused: {}", refusal.field.as_deref().unwrap_or("")),
            Err(Failure::Unavailable { .. }) => "unavailable".into(),
            other => panic!("{other:?}"),
        }
    }

    /// When this is asked, then the answer has these columns behind the first two, and in each minute these cells.
    pub(crate) async fn check(&self, when: &str, columns: &str, rows: &[(&str, &str)]) {
        let action = if when.contains("action=BUY") { "BUY" } else { "VIEW" };
        let row =
            |(minute, cells): &(&str, &str)| format!(r#"["2022-03-22T12:{minute}:00","{action}",{cells}]"#);
        let rows = rows.iter().map(row).collect::<Vec<_>>().join(",");
        let expected = format!(r#"{{"columns":["1m_bucket","action",{columns}],"rows":[{rows}]}}"#);
        assert_eq!(self.call(ask(when)).await, expected, "{when}");
    }
}

pub(crate) fn ask(query: &str) -> Call {
    Call::Http(Request {
        method: Method::POST,
        route: "/aggregates",
        segment: String::new(),
        query: query.into(),
        headers: HeaderMap::new(),
        body: bytes::Bytes::from_static(b"a body is ignored"),
    })
}

pub(crate) fn event(data: impl Into<Data>) -> Call {
    let event = EventBuilderV10::new().id("1").source("/s").ty(QUESTION_TYPE);
    Call::Event(Box::new(event.data("application/json", data).build().expect("an event")))
}

/// A tag with these origin, brand and category, at minutes and seconds after noon.
pub(crate) fn tag(action: Action, at: &str, names: [&str; 3], price: i32) -> UserTag {
    let (action, [origin, brand, category]) = (action.as_str(), names);
    let text = format!(
        r#"{{"time":"2022-03-22T12:{at}Z","cookie":"c","country":"CL","device":"TV","action":"{action}","origin":"{origin}","product_info":{{"product_id":7,"brand_id":"{brand}","category_id":"{category}","price":{price}}}}}"#
    );
    UserTag::from_json(text.as_bytes()).expect("a tag")
}

pub(crate) fn view(at: &str, price: i32) -> UserTag {
    tag(Action::View, at, ["o", "b", "c"], price)
}

pub(crate) fn plain(tag: UserTag) -> AcceptedTag {
    AcceptedTag { tag, identity: None }
}

pub(crate) fn keyed(key: &str, tag: UserTag) -> AcceptedTag {
    AcceptedTag { identity: Some(OwnIdentity::of_key(key, &tag)), tag }
}
