//! The watch over embedded logs, with a store whose condition a test sets.

#![allow(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use cloudevents::{AttributesReader, Event, EventBuilder, EventBuilderV10};
use event_log::{Append, EventLog, Position};
use event_log_embedded::EmbeddedLog;
use model::clock::SetClock;
use model::{AcceptedTag, Batch, BatchId, BucketStart, Clock, TagTime, UserTag};
use sealer::checkpoint::{Checkpoint, Groups};
use sealer::watch::{Logs, Sight, Watch};
use store::{Condition, Server};
use tempfile::TempDir;

const BEGIN_MS: u64 = 1_700_000_000_000;
const MINUTE_MS: u64 = 60_000;
const WHOLE_READ: usize = 1 << 30;

/// What the watch sees: a store of one server, and workers that are always done unless a test says otherwise.
#[derive(Clone)]
struct Seen(Arc<Mutex<State>>);

struct State {
    condition: Condition,
    log: Arc<EmbeddedLog>,
    workers_stand_at: Option<Position>,
    dangling: Vec<(BucketStart, u64)>,
    emptied: Vec<BucketStart>,
}

impl Sight for Seen {
    async fn condition(&self) -> Result<Condition, store::Error> {
        Ok(self.0.lock().unwrap().condition.clone())
    }

    async fn groups(&self) -> Result<Groups, event_log::Error> {
        let (log, at) = {
            let state = self.0.lock().unwrap();
            (Arc::clone(&state.log), state.workers_stand_at)
        };
        let at = match at {
            Some(at) => at,
            None => log.bounds().await?.end,
        };
        Ok(["profile-worker", "aggregate-worker"].map(|group| (group.to_owned(), vec![at])).into())
    }

    async fn dangling(&self) -> Result<Vec<BucketStart>, store::Error> {
        Ok(self.0.lock().unwrap().dangling.iter().map(|(bucket, _)| *bucket).collect())
    }

    async fn empty(&self, bucket: BucketStart) -> Result<u64, store::Error> {
        let mut state = self.0.lock().unwrap();
        state.emptied.push(bucket);
        Ok(state.dangling.iter().find(|(dangling, _)| *dangling == bucket).expect("it was told").1)
    }
}

struct World {
    seen: Seen,
    tags: Arc<EmbeddedLog>,
    checkpoints: Arc<EmbeddedLog>,
    clock: Arc<SetClock>,
    batches: u64,
    _directory: TempDir,
}

type Watching = Watch<Seen, Arc<EmbeddedLog>, Arc<EmbeddedLog>, Arc<SetClock>>;

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let open =
            |name| Arc::new(EmbeddedLog::open(directory.path().join(name), Default::default()).unwrap());
        let (tags, checkpoints) = (open("tags"), open("checkpoints"));
        let state = State {
            condition: started("K1", 1),
            log: Arc::clone(&tags),
            workers_stand_at: None,
            dangling: Vec::new(),
            emptied: Vec::new(),
        };
        let clock = Arc::new(SetClock::at(BEGIN_MS));
        let seen = Seen(Arc::new(Mutex::new(state)));
        Self { seen, tags, checkpoints, clock, batches: 0, _directory: directory }
    }

    /// A sealer that starts now.
    fn watch(&self) -> Watching {
        let logs = Logs {
            checkpoints: Arc::clone(&self.checkpoints),
            parts: vec![Arc::clone(&self.tags)],
            topic: Arc::clone(&self.tags),
        };
        Watch::new(self.seen.clone(), logs, Arc::clone(&self.clock), 1)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.seen.0.lock().unwrap());
    }

    /// A batch with a tag in this minute of the hour.
    async fn batch(&mut self, minute: u32) -> String {
        let tag = format!(
            r#"{{"time":"2022-03-22T12:{minute:02}:00Z","cookie":"c","country":"PL","device":"PC","action":"BUY",
            "origin":"o","product_info":{{"product_id":1,"brand_id":"b","category_id":"k","price":1}}}}"#
        );
        let tag = UserTag::from_json(tag.as_bytes()).unwrap();
        let id = BatchId { source: "/user-tags/test".into(), sequence: self.batches };
        self.batches += 1;
        let batch = Batch { accepted_ms: BEGIN_MS, tags: vec![AcceptedTag { tag, identity: None }] };
        let event = batch.to_event(&id);
        self.tags.append(event.clone()).await.unwrap();
        event.id().to_owned()
    }

    async fn ids(&self) -> Vec<String> {
        events(&self.tags).await.iter().map(|event| event.id().to_owned()).collect()
    }

    async fn checkpoints(&self) -> Vec<Checkpoint> {
        events(&self.checkpoints).await.iter().map(|event| Checkpoint::from_event(event).unwrap()).collect()
    }
}

fn started(key: &str, started_ms: u64) -> Condition {
    Condition {
        servers: vec![Server { id: "a".into(), started_ms }],
        cluster_key: key.into(),
        cluster_size: 1,
        ..Condition::default()
    }
}

async fn events(log: &EmbeddedLog) -> Vec<Event> {
    let read = log.read(Position::default(), WHOLE_READ, std::time::Duration::ZERO).await.unwrap();
    read.into_iter().map(|recorded| recorded.event).collect()
}

/// Notes, each a minute after the one before, with a batch before each.
async fn notes(world: &mut World, watch: &mut Watching, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(world.batch(15).await);
        watch.look().await.unwrap();
        world.clock.set(world.clock.now_ms() + MINUTE_MS);
    }
    ids
}

#[tokio::test]
async fn a_whole_store_is_noted_and_nothing_else() {
    let mut world = World::new();
    let mut watch = world.watch();
    let ids = notes(&mut world, &mut watch, 3).await;
    assert_eq!(world.ids().await, ids);
    let noted = world.checkpoints().await;
    assert_eq!(noted.len(), 3);
    assert!(noted.is_sorted_by(|one, next| one.position(0) < next.position(0)));
}

#[tokio::test]
async fn a_store_that_is_not_whole_is_not_noted() {
    let world = World::new();
    world.set(|state| state.condition.migrations_remaining = 1);
    world.watch().look().await.unwrap();
    assert_eq!(world.checkpoints().await, []);
}

#[tokio::test]
async fn what_a_restarted_store_may_have_lost_is_applied_again() {
    let mut world = World::new();
    let mut watch = world.watch();
    let ids = notes(&mut world, &mut watch, 4).await;
    world.set(|state| state.condition = started("K2", 100_000));
    watch.look().await.unwrap();
    // The last note is a minute older than the crash; the one a minute before that is safe.
    let again = world.ids().await.split_off(ids.len());
    assert_eq!(again, ids[3..]);
    assert_eq!(world.checkpoints().await.last().unwrap().cluster_key, "K2");
    watch.look().await.unwrap();
    assert_eq!(world.ids().await.len(), ids.len() + 1, "once is enough");
}

#[tokio::test]
async fn without_a_safely_older_note_everything_is_applied_again() {
    let mut world = World::new();
    let mut watch = world.watch();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.batch(15).await);
        watch.look().await.unwrap();
        world.clock.set(world.clock.now_ms() + MINUTE_MS / 4);
    }
    world.set(|state| state.condition = started("K2", 100_000));
    watch.look().await.unwrap();
    assert_eq!(world.ids().await.split_off(ids.len()), ids);
}

#[tokio::test]
async fn a_sealer_that_was_started_meanwhile_knows_it_too() {
    let mut world = World::new();
    let mut watch = world.watch();
    let ids = notes(&mut world, &mut watch, 2).await;
    drop(watch);
    world.set(|state| state.condition = started("K2", 100_000));
    world.watch().look().await.unwrap();
    assert_eq!(world.ids().await.split_off(ids.len()), ids[1..]);
}

#[tokio::test]
async fn events_that_came_twice_are_applied_again_once() {
    let mut world = World::new();
    let mut watch = world.watch();
    notes(&mut world, &mut watch, 2).await;
    for crash in 2..6 {
        let before = world.ids().await.len();
        world.set(|state| state.condition = started(&format!("K{crash}"), crash * 100_000));
        watch.look().await.unwrap();
        let again = world.ids().await.split_off(before);
        let distinct: HashSet<_> = again.iter().collect();
        assert_eq!(distinct.len(), again.len());
        assert!(again.len() <= 2, "{again:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_noted_until_the_workers_are_done() {
    let mut world = World::new();
    let mut watch = world.watch();
    notes(&mut world, &mut watch, 2).await;
    let repairing = watch.repairing();
    world.set(|state| {
        state.condition = started("K2", 100_000);
        state.workers_stand_at = Some(Position(0));
    });
    let looking = tokio::spawn(async move { watch.look().await });
    while !repairing() {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert!(repairing() && !looking.is_finished());
    assert_eq!(world.checkpoints().await.len(), 2);
    world.set(|state| state.workers_stand_at = None);
    looking.await.unwrap().unwrap();
    assert!(!repairing());
    assert_eq!(world.checkpoints().await.len(), 3);
}

#[tokio::test]
async fn a_crash_during_the_repair_is_repaired_too() {
    let mut world = World::new();
    let mut watch = world.watch();
    notes(&mut world, &mut watch, 2).await;
    world.set(|state| {
        state.condition = started("K2", 100_000);
        state.condition.migrations_remaining = 7;
    });
    watch.look().await.unwrap();
    assert_eq!(world.checkpoints().await.len(), 2, "not while it is not whole");
    world.set(|state| state.condition = started("K3", 200_000));
    watch.look().await.unwrap();
    assert_eq!(world.checkpoints().await.last().unwrap().cluster_key, "K3");
}

/// Batches of two minutes, then notes; the store forgets, and has lost records of one minute, put first at this time.
async fn filled_again(put_first_ms: u64) -> (Vec<String>, Vec<String>) {
    let mut world = World::new();
    let mut watch = world.watch();
    let mut ids = Vec::new();
    for minute in [7, 15, 7] {
        ids.push(world.batch(minute).await);
        notes(&mut world, &mut watch, 1).await;
    }
    let before = world.ids().await.len();
    let bucket = TagTime::parse("2022-03-22T12:07:00Z").unwrap().instant().bucket();
    world.set(|state| {
        state.condition = started("K2", 100_000);
        state.dangling = vec![(bucket, put_first_ms)];
    });
    watch.look().await.unwrap();
    assert_eq!(world.seen.0.lock().unwrap().emptied, [bucket]);
    let again = world.ids().await.split_off(before);
    // First what the store may have forgotten since the last but one note.
    assert_eq!(again[0], ids[2]);
    (ids, again[2..].to_vec())
}

#[tokio::test]
async fn a_minute_that_lost_records_is_filled_again_alone() {
    let (ids, again) = filled_again(BEGIN_MS).await;
    assert_eq!(again, [ids[0].clone(), ids[2].clone()]);
}

#[tokio::test]
async fn it_is_filled_from_what_was_not_yet_put_when_it_began() {
    // Noted when the workers were done with the first two batches, and safely older.
    let (ids, again) = filled_again(BEGIN_MS + 2 * MINUTE_MS).await;
    assert_eq!(again, [ids[2].clone()]);
}

#[tokio::test]
async fn what_is_no_event_of_the_topic_is_left_out() {
    let mut world = World::new();
    let mut watch = world.watch();
    notes(&mut world, &mut watch, 1).await;
    let noise = EventBuilderV10::new().id("noise").source("/x").ty("no.such.type").build().unwrap();
    world.tags.append(noise).await.unwrap();
    let before = world.ids().await.len();
    world.set(|state| {
        state.condition = started("K2", 100_000);
    });
    watch.look().await.unwrap();
    assert!(!world.ids().await[before..].contains(&"noise".to_owned()));
}
