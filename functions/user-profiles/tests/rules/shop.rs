//! `user-profiles` over the embedded store, log and names, and `profile-worker` to put something there.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use cloudevents::{AttributesReader, Data, Event, EventBuilder, EventBuilderV10};
use event_log::{EventLog, Position};
use event_log_embedded::{Durability, EmbeddedLog, Hook, Keep, Options};
use function::{Call, Failure, Function, Reply, Request};
use http::{HeaderMap, Method};
use id_service::NameLog;
use model::clock::SetClock;
use model::{AcceptedTag, Batch, BatchId, Erasure, TopicEvent, UserTag};
use profile_worker::ProfileWorker;
use store_embedded::EmbeddedStore;
use tempfile::TempDir;
use user_profiles::UserProfiles;
use user_profiles::event::QUESTION_TYPE;

pub(crate) type Names = Arc<NameLog<Arc<EmbeddedLog>>>;
pub(crate) type Reader = UserProfiles<EmbeddedStore, Names, Arc<EmbeddedLog>, Arc<SetClock>>;

pub(crate) const NOW_MS: u64 = 1_646_092_800_000;

/// The function, and what it stands on.
pub(crate) struct Shop {
    pub(crate) function: Arc<Reader>,
    pub(crate) worker: ProfileWorker<EmbeddedStore, Names>,
    pub(crate) store: EmbeddedStore,
    pub(crate) names: Names,
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) clock: Arc<SetClock>,
    directory: TempDir,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with_hook(None).await
    }

    /// With something that comes between the log and its disk.
    pub(crate) async fn with_hook(hook: Option<Hook>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store =
            EmbeddedStore::open(directory.path().join("store"), Default::default()).expect("the store opens");
        let names = open_names(&directory, "names").await;
        let log = open_log(&directory, "log", hook);
        let clock = Arc::new(SetClock::at(NOW_MS));
        let function = UserProfiles::new(
            (store.clone(), Arc::clone(&names)),
            Arc::clone(&log),
            Arc::clone(&clock),
            "/user-profiles/test",
        );
        let worker = ProfileWorker::new(store.clone(), Arc::clone(&names));
        Self { function: Arc::new(function), worker, store, names, log, clock, directory }
    }

    /// The function beside a table of names that knows none of those that were given numbers.
    pub(crate) async fn without_names(&self) -> Reader {
        let names = open_names(&self.directory, "other names").await;
        let (log, clock) = (Arc::clone(&self.log), Arc::clone(&self.clock));
        UserProfiles::new((self.store.clone(), names), log, clock, "/user-profiles/other")
    }

    /// Puts a batch of tags.
    pub(crate) async fn put(&self, sequence: u64, accepted_ms: u64, tags: impl IntoIterator<Item = UserTag>) {
        let tags = tags.into_iter().map(|tag| AcceptedTag { tag, identity: None });
        let batch = Batch { accepted_ms, tags: tags.collect() };
        let id = BatchId { source: "/user-tags/test".into(), sequence };
        self.worker.apply(&id, &batch).await.expect("puts");
    }

    /// What a call is answered: the text of the answer, or a word.
    pub(crate) async fn call(&self, call: Call) -> String {
        told(self.function.call(call).await)
    }

    /// When this call comes, then it is answered with these lists of a cookie.
    pub(crate) async fn check(&self, when: Call, then: (&str, &[&UserTag], &[&UserTag])) {
        let (cookie, views, buys) = then;
        let list = |tags: &[&UserTag]| {
            let texts = tags.iter().map(|tag| serde_json::to_string(tag).expect("JSON"));
            texts.collect::<Vec<_>>().join(",")
        };
        let expected =
            format!(r#"{{"cookie":"{cookie}","views":[{}],"buys":[{}]}}"#, list(views), list(buys));
        assert_eq!(self.call(when).await, expected);
    }

    /// The erasures in the log.
    pub(crate) async fn erasures(&self) -> Vec<Erasure> {
        let erasure = |event| match TopicEvent::from_event(&event) {
            Ok(TopicEvent::Erased(erasure)) => erasure,
            other => panic!("{other:?}"),
        };
        self.events().await.into_iter().map(erasure).collect()
    }

    /// The identities of the events in the log.
    pub(crate) async fn event_ids(&self) -> HashSet<(String, String)> {
        let id = |event: Event| (event.source().clone(), event.id().to_owned());
        self.events().await.into_iter().map(id).collect()
    }

    async fn events(&self) -> Vec<Event> {
        let end = self.log.bounds().await.expect("has bounds").end;
        let (mut from, mut events) = (Position::default(), Vec::new());
        while from < end {
            for recorded in self.log.read(from, usize::MAX, Duration::ZERO).await.expect("reads") {
                from = recorded.next;
                events.push(recorded.event);
            }
        }
        events
    }
}

async fn open_names(directory: &TempDir, name: &str) -> Names {
    Arc::new(NameLog::open(open_log(directory, name, None)).await.expect("the names are sound"))
}

fn open_log(directory: &TempDir, name: &str, hook: Option<Hook>) -> Arc<EmbeddedLog> {
    let options =
        Options { durability: Durability::Process, keep: Keep::Forever, hook, ..Options::default() };
    Arc::new(EmbeddedLog::open(directory.path().join(name), options).expect("the log opens"))
}

pub(crate) fn told(result: Result<Reply, Failure>) -> String {
    match result {
        Ok(Reply::Done) => "done".into(),
        Ok(Reply::Answer { json, event_type }) => {
            assert_eq!(event_type, "com.allezon.user-profile.answer");
            String::from_utf8(json.into()).expect("JSON is UTF-8")
        }
        Err(Failure::Refused(refusal)) => format!("refused: {}", refusal.field.as_deref().unwrap_or("")),
        Err(Failure::Unavailable { .. }) => "unavailable".into(),
        other => panic!("{other:?}"),
    }
}

/// A tag of a cookie with names of its own, at minutes and seconds after noon.
pub(crate) fn tag(cookie: &str, action: &str, at: &str, price: i32) -> UserTag {
    let text = format!(
        r#"{{"time":"2022-03-22T12:{at}Z","cookie":"{cookie}","country":"CL","device":"MOBILE","action":"{action}","origin":"o_{price}","product_info":{{"product_id":"{price}","brand_id":"","category_id":"żółć","price":{price}}}}}"#
    );
    UserTag::from_json(text.as_bytes()).expect("a tag")
}

/// A request with the cookie as it stands in the path.
pub(crate) fn request(method: Method, cookie: &str, query: &str) -> Call {
    Call::Http(Request {
        method,
        route: "/user_profiles/{cookie}",
        segment: cookie.into(),
        query: query.into(),
        headers: HeaderMap::new(),
        body: bytes::Bytes::from_static(b"a body is ignored"),
    })
}

pub(crate) fn ask(cookie: &str, query: &str) -> Call {
    request(Method::POST, cookie, query)
}

pub(crate) fn event(data: impl Into<Data>) -> Call {
    let event = EventBuilderV10::new().id("1").source("/s").ty(QUESTION_TYPE);
    Call::Event(Box::new(event.data("application/json", data).build().expect("an event")))
}
