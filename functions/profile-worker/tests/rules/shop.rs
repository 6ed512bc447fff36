//! `profile-worker` over the embedded store and names, and `user-profiles` to look at what it did.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use cloudevents::Event;
use event_log_embedded::{Durability, EmbeddedLog, Hook, Keep, Options, Step};
use function::{Call, Failure, Function, Reply};
use id_service::NameLog;
use model::clock::SetClock;
use model::{AcceptedTag, Batch, BatchId, Cookie, Instant, OwnIdentity, TimeRange, UserTag};
use profile_worker::ProfileWorker;
use store_embedded::EmbeddedStore;
use tempfile::TempDir;
use user_profiles::UserProfiles;
use user_profiles::event::Question;

pub(crate) type Names = Arc<NameLog<Arc<EmbeddedLog>>>;
type Reader = UserProfiles<EmbeddedStore, Names, Arc<EmbeddedLog>, SetClock>;

/// The worker, and what it stands on.
pub(crate) struct Shop {
    /// First, so that the log of names is never closed while its disk stands still.
    _mended: Mended,
    pub(crate) worker: ProfileWorker<EmbeddedStore, Names>,
    pub(crate) names: Names,
    pub(crate) disk: Arc<Disk>,
    reader: Reader,
    _directory: TempDir,
}

/// The disk below the log of names.
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
    pub(crate) async fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = Arc::new(Disk::default());
        let options = Options {
            durability: Durability::Process,
            keep: Keep::Forever,
            hook: Some(disk.hook()),
            ..Options::default()
        };
        let log = EmbeddedLog::open(directory.path().join("names"), options).expect("the log opens");
        let log = Arc::new(log);
        let names = Arc::new(NameLog::open(Arc::clone(&log)).await.expect("the names are sound"));
        let store =
            EmbeddedStore::open(directory.path().join("store"), Default::default()).expect("the store opens");
        let reader = UserProfiles::new(
            (store.clone(), Arc::clone(&names)),
            log,
            SetClock::at(0),
            "/user-profiles/test",
        );
        Self {
            _mended: Mended(Arc::clone(&disk)),
            worker: ProfileWorker::new(store, Arc::clone(&names)),
            names,
            disk,
            reader,
            _directory: directory,
        }
    }

    /// What a delivery is answered.
    pub(crate) async fn deliver(&self, event: Event) -> String {
        match self.worker.call(Call::Event(Box::new(event))).await {
            Ok(Reply::Done) => "done".into(),
            Err(Failure::Refused(refusal)) => format!("refused: {}", refusal.reason),
            Err(Failure::Unavailable { .. }) => "unavailable".into(),
            other => panic!("{other:?}"),
        }
    }

    /// All views and buys of a cookie, newest first.
    pub(crate) async fn profile(&self, cookie: &str) -> [Vec<UserTag>; 2] {
        let range = TimeRange { from: Instant::from_ms(-1 << 50), to: Instant::from_ms(1 << 50) };
        let question = Question { cookie: Cookie(cookie.into()), range, limit: 200 };
        let answer = self.reader.ask(question).await.expect("the profile can be read");
        [answer.views, answer.buys]
    }

    /// Delivers these events one after the other.
    pub(crate) async fn deliver_all(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            assert_eq!(self.deliver(event).await, "done");
        }
    }
}

/// A tag of a cookie, so many milliseconds after a time; what else there is follows from the price.
pub(crate) fn tag(cookie: &str, action: &str, at_ms: u32, price: i32) -> UserTag {
    let country = ["CL", "PL", ""][price.unsigned_abs() as usize % 3];
    let text = format!(
        r#"{{"time":"2022-03-22T12:{:02}:{:02}.{:03}Z","cookie":"{cookie}","country":"{country}","device":"PC","action":"{action}","origin":"o{}","product_info":{{"product_id":7,"brand_id":"b_{}","category_id":"c","price":{price}}}}}"#,
        at_ms / 60_000,
        at_ms / 1_000 % 60,
        at_ms % 1_000,
        price % 5,
        price % 7,
    );
    UserTag::from_json(text.as_bytes()).expect("a tag")
}

pub(crate) fn view(at_ms: u32, price: i32) -> UserTag {
    tag("c", "VIEW", at_ms, price)
}

pub(crate) fn plain(tag: UserTag) -> AcceptedTag {
    AcceptedTag { tag, identity: None }
}

pub(crate) fn keyed(key: &str, tag: UserTag) -> AcceptedTag {
    AcceptedTag { identity: Some(OwnIdentity::of_key(key, &tag)), tag }
}

/// A batch of the source that all tests have.
pub(crate) fn batch(sequence: u64, accepted_ms: u64, tags: impl IntoIterator<Item = AcceptedTag>) -> Event {
    let id = BatchId { source: "/user-tags/test".into(), sequence };
    Batch { accepted_ms, tags: tags.into_iter().collect() }.to_event(&id)
}
