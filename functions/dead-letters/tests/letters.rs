//! Keeping, telling and sending back, over embedded logs.

#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cloudevents::event::ExtensionValue;
use cloudevents::{AttributesReader, Event, EventBuilder, EventBuilderV10};
use dead_letters::{Bookmark, DeadLetters, Logs, Returned};
use event_log::{Append, Error, EventLog, Position};
use event_log_embedded::EmbeddedLog;
use function::{Call, Failure, Function, Refused, Reply, Request};
use http::{HeaderMap, Method};
use tempfile::TempDir;

/// After so many appends all others fail, with this.
type Failing = (usize, fn() -> Error);

/// A log that may be told to fail.
#[derive(Clone)]
struct Topic {
    log: Arc<EmbeddedLog>,
    fails: Arc<Mutex<Option<Failing>>>,
}

impl Append for Topic {
    async fn append(&self, event: Event) -> Result<Position, Error> {
        if let Some((left, error)) = &mut *self.fails.lock().unwrap() {
            if *left == 0 {
                return Err(error());
            }
            *left -= 1;
        }
        self.log.append(event).await
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Option<Position>>>);

impl Bookmark for Memory {
    async fn positions(&self) -> Result<Vec<Option<Position>>, Error> {
        Ok(vec![*self.0.lock().unwrap()])
    }

    async fn set(&self, partition: usize, to: Position) -> Result<(), Error> {
        assert_eq!(partition, 0);
        *self.0.lock().unwrap() = Some(to);
        Ok(())
    }
}

struct World {
    function: DeadLetters<Arc<EmbeddedLog>, Topic, Memory>,
    shelf: Topic,
    topic: Topic,
    _directory: TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let open = |name| Topic {
            log: Arc::new(EmbeddedLog::open(directory.path().join(name), Default::default()).unwrap()),
            fails: Arc::default(),
        };
        let (shelf, topic) = (open("letters"), open("topic"));
        let logs = Logs { letters: vec![Arc::clone(&shelf.log)], shelf: shelf.clone(), topic: topic.clone() };
        Self { function: DeadLetters::new(logs, Memory::default()), shelf, topic, _directory: directory }
    }

    async fn keep(&self, letter: Event) -> Result<Reply, Failure> {
        self.function.call(Call::Event(Box::new(letter))).await
    }

    async fn ask(&self, method: Method, route: &'static str, query: &str) -> Result<String, Failure> {
        let request = Request {
            method,
            route,
            segment: String::new(),
            query: query.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        match self.function.call(Call::Http(request)).await? {
            Reply::Answer { json, .. } => Ok(String::from_utf8(json.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    async fn replay(&self, query: &str) -> Result<String, Failure> {
        self.ask(Method::POST, "/replay", query).await
    }

    async fn list(&self, query: &str) -> Result<String, Failure> {
        self.ask(Method::GET, "/dead_letters", query).await
    }
}

async fn events(topic: &Topic) -> Vec<Event> {
    let read = topic.log.read(Position::default(), 1 << 24, Duration::ZERO).await.unwrap();
    read.into_iter().map(|recorded| recorded.event).collect()
}

fn event(id: &str) -> Event {
    let event = EventBuilderV10::new().id(id).source("/x").ty("t").extension("traceparent", "00-1");
    event.data("application/json", b"{ \"as\" : 1 }".to_vec()).build().unwrap()
}

/// As KafkaSource posts it: refused by this worker with 400, `no tag` in base64.
fn letter(id: &str, worker: &str) -> Event {
    let mut letter = event(id);
    letter.set_extension("knativeerrordest", ExtensionValue::String(format!("http://{worker}.shop.svc/")));
    letter.set_extension("knativeerrorcode", ExtensionValue::Integer(400));
    letter.set_extension("knativeerrordata", ExtensionValue::String("bm8gdGFn".into()));
    letter.set_extension("knativekafkaoffset", ExtensionValue::Integer(7));
    letter
}

async fn with_letters() -> World {
    let world = World::new();
    for (id, worker) in [("0", "profile-worker"), ("1", "profile-worker"), ("2", "aggregate-worker")] {
        assert_eq!(world.keep(letter(id, worker)).await.unwrap(), Reply::Done);
    }
    world
}

#[tokio::test]
async fn a_letter_is_kept_as_it_came() {
    let world = with_letters().await;
    assert_eq!(events(&world.shelf).await[1], letter("1", "profile-worker"));
    assert_eq!(events(&world.topic).await, []);
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_so_that_it_comes_again() {
    let world = World::new();
    *world.shelf.fails.lock().unwrap() =
        Some((0, || Error::Unavailable { reason: "away".into(), cause: None }));
    assert!(matches!(world.keep(event("0")).await, Err(Failure::Unavailable { .. })));
    *world.shelf.fails.lock().unwrap() = Some((0, || Error::TooLarge { bytes: 9 }));
    let refused = world.keep(event("0")).await;
    assert!(matches!(refused, Err(Failure::Refused(refusal)) if refusal.kind == Refused::TooLarge));
}

#[tokio::test]
async fn the_list_counts_and_tells_the_newest() {
    let world = with_letters().await;
    let list = world.list("").await.unwrap();
    let holds = |text: &str| assert!(list.contains(text), "{text} is not in {list}");
    holds(r#""letters":3,"#);
    holds(r#""not_sent_back":3,"#);
    holds(r#""http://profile-worker.shop.svc/":2"#);
    holds(r#""reason":"no tag""#);
    holds(r#""code":"400""#);
    assert_eq!(list.matches(r#""id":"#).count(), 3);
    assert_eq!(world.list("limit=1").await.unwrap().matches(r#""id":"#).count(), 1);
    assert!(matches!(world.list("limit=-1").await, Err(Failure::Refused(_))));
    assert!(World::new().list("").await.unwrap().contains(r#""letters":0,"#));
}

#[tokio::test]
async fn letters_go_back_once_as_they_were() {
    let world = with_letters().await;
    let told = world.replay("dry_run=true").await.unwrap();
    assert_eq!(told, r#"{"dry_run":true,"left":0,"passed_over":0,"sent":3}"#);
    assert_eq!(events(&world.topic).await, []);
    let told = world.replay("limit=2").await.unwrap();
    assert_eq!(told, r#"{"dry_run":false,"left":1,"passed_over":0,"sent":2}"#);
    assert!(world.list("").await.unwrap().contains(r#""not_sent_back":1,"#));
    world.replay("").await.unwrap();
    let told = world.replay("").await.unwrap();
    assert_eq!(told, r#"{"dry_run":false,"left":0,"passed_over":0,"sent":0}"#);
    let mut back = events(&world.topic).await;
    back.sort_by_key(|event| event.id().to_owned());
    assert_eq!(back, ["0", "1", "2"].map(event));
    assert!(matches!(world.replay("dry_run=maybe").await, Err(Failure::Refused(_))));
}

#[tokio::test]
async fn after_an_outage_the_rest_goes_back() {
    let world = with_letters().await;
    *world.topic.fails.lock().unwrap() =
        Some((1, || Error::Unavailable { reason: "away".into(), cause: None }));
    assert!(matches!(world.replay("").await, Err(Failure::Unavailable { .. })));
    *world.topic.fails.lock().unwrap() = None;
    world.replay("").await.unwrap();
    let mut ids: Vec<_> = events(&world.topic).await.iter().map(|event| event.id().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids, ["0", "1", "2"], "some may have come twice, none is missing");
}

#[tokio::test]
async fn a_letter_too_large_for_the_topic_holds_up_no_other() {
    let world = with_letters().await;
    *world.topic.fails.lock().unwrap() = Some((2, || Error::TooLarge { bytes: 9 }));
    assert_eq!(
        world.function.send_back(10, false).await.unwrap(),
        Returned { sent: 2, passed_over: 1, left: 0 }
    );
    assert_eq!(events(&world.topic).await.len(), 2);
}

#[tokio::test]
async fn one_letter_goes_back_alone_and_as_often_as_it_is_asked_for() {
    let world = with_letters().await;
    let list: serde_json::Value = serde_json::from_str(&world.list("").await.unwrap()).unwrap();
    let newest = list["newest"].as_array().unwrap();
    let position = newest.iter().find(|letter| letter["id"] == "1").unwrap()["position"].as_u64().unwrap();
    for _ in 0..2 {
        let told = world.replay(&format!("partition=0&position={position}")).await.unwrap();
        assert_eq!(told, r#"{"dry_run":false,"passed_over":0,"sent":1}"#);
    }
    assert_eq!(events(&world.topic).await, [event("1"), event("1")]);
    assert!(
        world.replay("dry_run").await.unwrap().contains(r#""sent":3"#),
        "the bookmark stands where it stood"
    );
    for nowhere in ["position=1000000", "partition=1&position=0"] {
        let refused = world.replay(nowhere).await;
        assert!(
            matches!(refused, Err(Failure::Refused(refusal)) if refusal.kind == Refused::Unknown),
            "{nowhere}"
        );
    }
}
