//! `user-tags` over an embedded log, with time that stands still until a test moves it.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use cloudevents::{Data, EventBuilder, EventBuilderV10};
use event_log::{EventLog, Position};
use event_log_embedded::{Durability, EmbeddedLog, Hook, Options, Step};
use function::{Call, Failure, Function, Reply, Request};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Method};
use model::clock::SetClock;
use model::{Batch, BatchId, TopicEvent, UserTag};
use tempfile::TempDir;
use tokio::task::{JoinHandle, yield_now};
use user_tags::{Batching, UserTags};

pub(crate) const SOURCE: &str = "/user-tags/test";
pub(crate) const NOW_MS: u64 = 1_646_092_800_123;
/// Time stands still here, so batches keep no distance.
pub(crate) const AT_ONCE: Batching = Batching { pace: Duration::ZERO, ..Batching::EMBEDDED };
/// Far more than the log of a test holds.
const READ_BYTES: usize = 1 << 30;
/// More turns than any task of a test needs to come to where it waits.
const TURNS: usize = 100;

/// The function, and what it stands on.
pub(crate) struct Shop {
    /// First, so that the log is never closed while its disk stands still.
    _mended: Mended,
    pub(crate) function: Arc<UserTags>,
    pub(crate) gathering: JoinHandle<()>,
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) disk: Arc<Disk>,
    batching: Batching,
    _standing_still: mpsc::Sender<()>,
    _directory: TempDir,
}

/// The disk below the log, in the state that a test puts it into.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    state: Mutex<State>,
    changed: Condvar,
}

/// How the disk takes a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    #[default]
    Well,
    /// It takes until the state changes.
    Stuck,
    /// It fails.
    Broken,
}

struct Mended(Arc<Disk>);

impl Drop for Mended {
    fn drop(&mut self) {
        self.0.set(State::Well);
    }
}

impl Disk {
    pub(crate) fn set(&self, state: State) {
        *self.state.lock().expect("nothing panics under this lock") = state;
        self.changed.notify_all();
    }

    fn hook(self: &Arc<Self>) -> Hook {
        let disk = Arc::clone(self);
        Arc::new(move |step| if matches!(step, Step::Sync(_)) { disk.sync() } else { Ok(()) })
    }

    fn sync(&self) -> io::Result<()> {
        let state = self.state.lock().expect("nothing panics under this lock");
        let state = self.changed.wait_while(state, |state| *state == State::Stuck);
        match *state.expect("nothing panics under this lock") {
            State::Broken => Err(io::Error::other("no such disk")),
            State::Well | State::Stuck => Ok(()),
        }
    }
}

impl Shop {
    pub(crate) fn open(batching: Batching) -> Self {
        let disk = Arc::new(Disk::default());
        let options =
            Options { durability: Durability::Process, hook: Some(disk.hook()), ..Options::default() };
        let directory = tempfile::tempdir().expect("a directory");
        let log = Arc::new(EmbeddedLog::open(directory.path(), options).expect("the log opens"));
        let (function, gathering) = UserTags::new(Arc::clone(&log), SetClock::at(NOW_MS), SOURCE, batching);
        Self {
            _mended: Mended(Arc::clone(&disk)),
            function: Arc::new(function),
            gathering: tokio::spawn(gathering),
            log,
            disk,
            batching,
            _standing_still: stand_still(),
            _directory: directory,
        }
    }

    /// Another start of the function, on the same log.
    pub(crate) async fn start_again(&mut self, source: &str) {
        let (function, gathering) =
            UserTags::new(Arc::clone(&self.log), SetClock::at(NOW_MS), source, self.batching);
        self.function = Arc::new(function);
        std::mem::replace(&mut self.gathering, tokio::spawn(gathering)).await.expect("it ends in peace");
    }

    /// What a call is answered.
    pub(crate) async fn call(&self, call: Call) -> String {
        told(self.function.call(call).await)
    }

    /// What calls that come at once are answered.
    pub(crate) async fn call_at_once(&self, calls: impl IntoIterator<Item = Call>) -> Vec<String> {
        join_all(calls.into_iter().map(|call| self.call(call))).await
    }

    /// When these calls come at once, then so many of them are answered so.
    pub(crate) async fn check(&self, when: impl IntoIterator<Item = Call>, then: (&str, i32)) {
        let answers = self.call_at_once(when).await;
        let count = answers.iter().filter(|told| *told == then.0).count();
        assert_eq!(i32::try_from(count), Ok(then.1), "{:?}", HashSet::<&String>::from_iter(&answers));
    }

    /// A call that has come to where it waits.
    pub(crate) async fn begin(&self, call: Call) -> JoinHandle<String> {
        let function = Arc::clone(&self.function);
        let begun = tokio::spawn(async move { told(function.call(call).await) });
        settle().await;
        begun
    }

    /// Time goes on, in small steps, and whoever waited for it comes to where it waits next.
    pub(crate) async fn pass(&self, time: Duration) {
        for _ in 0..time.as_millis() {
            tokio::time::advance(Duration::from_millis(1)).await;
            settle().await;
        }
    }

    /// The batches of the log.
    pub(crate) async fn batches(&self) -> Vec<(BatchId, Batch)> {
        let end = self.log.bounds().await.expect("has bounds").end;
        let (mut from, mut batches) = (Position::default(), Vec::new());
        while from < end {
            for recorded in self.log.read(from, READ_BYTES, Duration::ZERO).await.expect("reads") {
                from = recorded.next;
                match TopicEvent::from_event(&recorded.event) {
                    Ok(TopicEvent::Accepted(id, batch)) => batches.push((id, batch)),
                    other => panic!("{other:?}"),
                }
            }
        }
        batches
    }

    /// The prices of all tags in the log, sorted.
    pub(crate) async fn prices(&self) -> Vec<i32> {
        let tags = self.batches().await.into_iter().flat_map(|(_, batch)| batch.tags);
        let mut prices: Vec<i32> = tags.map(|accepted| accepted.tag.product.price).collect();
        prices.sort_unstable();
        prices
    }

    pub(crate) async fn numbers_are_unique(&self) {
        let mut seen = HashSet::new();
        for (id, _) in self.batches().await {
            assert!(seen.insert(id.clone()), "{id:?}");
        }
    }
}

/// What a begun call is answered.
pub(crate) async fn end(call: JoinHandle<String>) -> String {
    call.await.expect("a call does not panic")
}

/// Runs a test in a runtime of its own, where time stands still.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime").block_on(test);
}

/// Lets everybody come to where they wait.
pub(crate) async fn settle() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

/// A paused clock of tokio moves by itself when nobody has anything to do; not while a blocking task runs.
fn stand_still() -> mpsc::Sender<()> {
    let (end, ended) = mpsc::channel();
    tokio::task::spawn_blocking(move || ended.recv());
    end
}

fn told(result: Result<Reply, Failure>) -> String {
    match result {
        Ok(Reply::Done) => "done".into(),
        Err(Failure::Refused(refusal)) => format!("refused: {}", refusal.field.as_deref().unwrap_or("")),
        Err(Failure::Unavailable { reason, .. }) => format!("unavailable: {reason}"),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn tag_text(price: i32) -> String {
    let product =
        format!(r#"{{"product_id":12486,"brand_id":"Ebros_Gift","category_id":"Trousers","price":{price}}}"#);
    format!(
        r#"{{"time":"2022-03-22T12:15:00.000Z","cookie":"c","country":"CL","device":"PC","action":"VIEW","origin":"O","product_info":{product}}}"#
    )
}

pub(crate) fn tag(price: i32) -> UserTag {
    UserTag::from_json(tag_text(price).as_bytes()).expect("a tag")
}

pub(crate) fn post(body: impl Into<Vec<u8>>) -> Call {
    with_keys(body, &[])
}

pub(crate) fn with_keys(body: impl Into<Vec<u8>>, keys: &[&[u8]]) -> Call {
    let mut headers = HeaderMap::new();
    for key in keys {
        headers.append("idempotency-key", HeaderValue::from_bytes(key).expect("a header's value"));
    }
    Call::Http(Request {
        method: Method::POST,
        route: "/user_tags",
        segment: String::new(),
        query: String::new(),
        headers,
        body: body.into().into(),
    })
}

pub(crate) fn event(source: &str, id: &str, data: impl Into<Data>) -> Call {
    let event = EventBuilderV10::new().id(id).source(source).ty(user_tags::event::EVENT_TYPE);
    let event = event.data("application/json", data).build().expect("an event");
    Call::Event(Box::new(event))
}
