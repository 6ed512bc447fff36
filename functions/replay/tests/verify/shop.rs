//! Logs, a store that the real workers fill, and what comes of comparing them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregate_worker::AggregateWorker;
use cloudevents::{AttributesReader, Event};
use event_log::{Append, EventLog};
use event_log_embedded::{EmbeddedLog, Options};
use function::{Call, Function};
use futures_util::future::join_all;
use id_service::NameLog;
use model::{AcceptedTag, Batch, BatchId, Cookie, Erasure, OwnIdentity, UserTag};
use profile_worker::ProfileWorker;
use replay::verify::{Patience, Report, Sampling, Stop, verify};
use sealer::Sealer;
use store_embedded::EmbeddedStore;
use tempfile::TempDir;

pub(crate) type Names = Arc<NameLog<EmbeddedLog>>;

/// Enough for writers that end.
pub(crate) const PATIENT: Patience = Patience { looks: 20_000, pause: Duration::from_millis(1) };

pub(crate) struct Shop {
    pub(crate) parts: [Arc<EmbeddedLog>; 2],
    pub(crate) store: EmbeddedStore,
    pub(crate) names: Names,
    pub(crate) sealer: Sealer<EmbeddedStore>,
    profiles: ProfileWorker<EmbeddedStore, Names>,
    minutes: AggregateWorker,
    directory: TempDir,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // Small segments, so that they can be let go.
        let options = Options { segment_bytes: 4 << 10, ..Options::default() };
        let open =
            |name| EmbeddedLog::open(directory.path().join(name), options.clone()).expect("the log opens");
        let parts = [Arc::new(open("0")), Arc::new(open("1"))];
        let store =
            EmbeddedStore::open(directory.path().join("store"), Default::default()).expect("the store opens");
        let names = Arc::new(NameLog::open(open("names")).await.expect("the names open"));
        let (minutes, packing) = AggregateWorker::new(store.clone());
        tokio::spawn(packing);
        let profiles = ProfileWorker::new(store.clone(), Arc::clone(&names));
        // Keeps two minutes, and the sealer's margin of ten.
        let sealer = Sealer::keeping(store.clone(), 2);
        Self { parts, store, names, sealer, profiles, minutes, directory }
    }

    /// A log of names that has none.
    pub(crate) async fn no_names(&self) -> Names {
        let log = EmbeddedLog::open(self.directory.path().join("none"), Options::default());
        Arc::new(NameLog::open(log.expect("the log opens")).await.expect("the names open"))
    }

    /// Appends to a part that follows from the event.
    pub(crate) async fn append(&self, event: &Event) {
        let part = event.id().bytes().map(usize::from).sum::<usize>() % self.parts.len();
        self.parts[part].append(event.clone()).await.expect("appends");
    }

    /// As the log delivers it.
    pub(crate) async fn apply(&self, event: &Event) {
        self.profiles.call(Call::Event(Box::new(event.clone()))).await.expect("applies");
        self.minutes.call(Call::Event(Box::new(event.clone()))).await.expect("applies");
    }

    /// All at once: what is delivered together is packed together.
    pub(crate) async fn apply_all(&self, events: &[Event]) {
        join_all(events.iter().map(|event| self.apply(event))).await;
    }

    pub(crate) async fn append_and_apply_all(&self, events: &[Event]) {
        for event in events {
            self.append(event).await;
        }
        self.apply_all(events).await;
    }

    pub(crate) async fn append_and_apply(&self, event: &Event) {
        self.append(event).await;
        self.apply(event).await;
    }

    pub(crate) async fn verify(&self) -> Report {
        self.try_verify(Sampling::default(), Patience::NONE, Arc::clone(&self.names)).await.expect("verifies")
    }

    pub(crate) async fn try_verify(
        &self,
        sampling: Sampling,
        patience: Patience,
        names: Names,
    ) -> Result<Report, Stop> {
        verify(self.parts.to_vec(), (self.store.clone(), names), sampling, patience).await
    }

    /// The store is what the log says.
    pub(crate) async fn check(&self) -> Report {
        let report = self.verify().await;
        assert!(report.agrees() && report.is_whole, "{}", report.told());
        report
    }

    /// The store lacks so many tags, has so many too many, and so many wrong ones; one line says so with this text.
    pub(crate) async fn check_differs(&self, expected: (u64, u64, u64), line: &str) {
        let report = self.verify().await;
        assert_eq!((report.missing, report.extra, report.wrong), expected, "{}", report.told());
        assert!(!report.agrees());
        assert!(report.told().contains(line), "{}", report.told());
    }

    /// Lets the logs go, but for their newest segments.
    pub(crate) async fn let_go(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        for part in &self.parts {
            let end = part.bounds().await.expect("bounds").end;
            while part.bounds().await.expect("bounds").oldest.0 == 0 {
                assert!(Instant::now() < deadline, "nothing was let go");
                part.release(end);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

/// A tag of this cookie at minutes and seconds after noon.
pub(crate) fn tag(cookie: &str, at: &str, price: i32) -> UserTag {
    let text = format!(
        r#"{{"time":"2022-03-22T12:{at}Z","cookie":"{cookie}","country":"CL","device":"TV","action":"VIEW","origin":"o","product_info":{{"product_id":"7","brand_id":"b{price}","category_id":"c","price":{price}}}}}"#
    );
    UserTag::from_json(text.as_bytes()).expect("a tag")
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

pub(crate) fn erasure(id: &str, cookie: &str, accepted_before_ms: u64) -> Event {
    Erasure { cookie: Cookie(cookie.into()), accepted_before_ms }.to_event("/user-profiles/test", id)
}
