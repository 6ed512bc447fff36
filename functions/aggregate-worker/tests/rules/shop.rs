//! `aggregate-worker` over the embedded store, and `aggregates` to look at what it did.

use aggregate_worker::AggregateWorker;
use aggregates::Aggregates;
use aggregates::event::{Aggregate, Question};
use cloudevents::Event;
use columns::{Filter, Totals};
use function::{Call, Failure, Function, Reply};
use futures_util::future::join_all;
use model::{AcceptedTag, Action, Batch, BatchId, BucketStart, MinuteRange, OwnIdentity, UserTag};
use store::MinuteStore;
use store_embedded::EmbeddedStore;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// More than the chunks of a test.
const DECODED_BYTES: u64 = 1 << 20;

/// The worker, and what it stands on.
pub(crate) struct Shop {
    pub(crate) worker: AggregateWorker,
    pub(crate) packing: JoinHandle<()>,
    pub(crate) store: EmbeddedStore,
    reader: Aggregates<EmbeddedStore>,
    _directory: TempDir,
}

impl Shop {
    pub(crate) fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = EmbeddedStore::open(directory.path(), Default::default()).expect("the store opens");
        let (worker, packing) = AggregateWorker::new(store.clone());
        let reader = Aggregates::new(store.clone(), DECODED_BYTES);
        Self { worker, packing: tokio::spawn(packing), store, reader, _directory: directory }
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

    /// Delivers these events at once.
    pub(crate) async fn deliver_at_once(&self, events: impl IntoIterator<Item = Event>) {
        let answers = join_all(events.into_iter().map(|event| self.deliver(event))).await;
        assert!(answers.iter().all(|told| told == "done"), "{answers:?}");
    }

    /// Count and sum of the prices of an action in these minutes after noon.
    pub(crate) async fn totals(&self, action: Action, from: u32, to: u32) -> Vec<(u64, i64)> {
        let text = format!("2022-03-22T12:{from:02}:00_2022-03-22T12:{to:02}:00");
        let range = MinuteRange::parse(&text).expect("a range");
        let question = Question {
            range,
            action,
            filter: Filter::default(),
            aggregates: vec![Aggregate::Count, Aggregate::SumPrice],
        };
        let minutes = self.reader.ask(&question).await.expect("the minutes can be read");
        minutes.into_iter().map(|(_, Totals { count, sum_price })| (count, sum_price)).collect()
    }

    /// In how many blocks each minute with data lies, in minutes after noon.
    pub(crate) async fn blocks(&self) -> Vec<(i64, usize)> {
        let calendar = self.store.calendar().await.expect("lists");
        calendar.into_iter().map(|(bucket, blocks)| (bucket.minutes() - noon().minutes(), blocks)).collect()
    }
}

pub(crate) fn noon() -> BucketStart {
    view("00:00", 0).time.instant().bucket()
}

/// A tag of an action, at minutes and seconds after noon.
pub(crate) fn tag(action: Action, at: &str, price: i32) -> UserTag {
    let action = action.as_str();
    let text = format!(
        r#"{{"time":"2022-03-22T12:{at}Z","cookie":"c","country":"CL","device":"TV","action":"{action}","origin":"o","product_info":{{"product_id":7,"brand_id":"b","category_id":"c","price":{price}}}}}"#
    );
    UserTag::from_json(text.as_bytes()).expect("a tag")
}

pub(crate) fn view(at: &str, price: i32) -> UserTag {
    tag(Action::View, at, price)
}

pub(crate) fn plain(tag: UserTag) -> AcceptedTag {
    AcceptedTag { tag, identity: None }
}

pub(crate) fn keyed(key: &str, tag: UserTag) -> AcceptedTag {
    AcceptedTag { identity: Some(OwnIdentity::of_key(key, &tag)), tag }
}

/// A batch of a source.
pub(crate) fn batch_of(source: &str, sequence: u64, tags: impl IntoIterator<Item = AcceptedTag>) -> Event {
    let batch = Batch { accepted_ms: 1, tags: tags.into_iter().collect() };
    batch.to_event(&BatchId { source: source.into(), sequence })
}

/// A batch of the source that most tests have.
pub(crate) fn batch(sequence: u64, tags: impl IntoIterator<Item = AcceptedTag>) -> Event {
    batch_of("/user-tags/test", sequence, tags)
}
