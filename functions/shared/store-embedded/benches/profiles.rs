//! The profiles' load on the embedded store, and on redb keyed alike, for comparison.
//!
//! ```text
//! cargo bench -p store-embedded --bench profiles -- load fjall 20     60,000 tags/s for 20 s, reads meanwhile
//! cargo bench -p store-embedded --bench profiles -- load redb 20
//! cargo bench -p store-embedded --bench profiles -- fill DIR 3600000  an hour of tags, then killed
//! cargo bench -p store-embedded --bench profiles -- open DIR          how long a start takes then, and what is idle
//! cargo bench -p store-embedded --bench profiles -- chunks            10 chunks of 240 KB, warm
//! cargo bench -p store-embedded --bench profiles -- minutes 500       sealed six times each, the newest 100 kept
//! ```

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use bytes::Bytes;
use event_log::Position;
use model::{Action, BucketStart, Cookie, TimeRange};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use redb::{Database, Durability, ReadableDatabase, TableDefinition};
use store::{Entry, MinuteStore, ProfileStore, Swap};
use store_embedded::{EmbeddedStore, Options};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COOKIES: u32 = 1_000_000;
const TAGS_A_SECOND: u64 = 60_000;
/// What a profile-worker is delivered at that rate: 240 batches a second.
const TAGS_A_PUT: u64 = 250;
/// A packed tag of the contract's stream: 36 bytes.
const PACKED_BYTES: usize = 36;
const START_MS: i64 = 1_646_092_800_000;
const READ_EVERY: Duration = Duration::from_millis(10);
const TABLE: TableDefinition<'_, &[u8; 33], &[u8]> = TableDefinition::new("profiles");

fn main() {
    let arguments: Vec<_> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["load", "fjall", seconds] => load(seconds.parse().expect("seconds"), &mut Fjall::new()),
        ["load", "redb", seconds] => load(seconds.parse().expect("seconds"), &mut Redb::new()),
        ["fill", directory, tags] => fill(Path::new(directory), tags.parse().expect("a number")),
        ["open", directory] => open(Path::new(directory)),
        ["chunks"] => chunks(),
        ["minutes", minutes] => minutes_pass(minutes.parse().expect("a number")),
        _ => {
            load(10, &mut Fjall::new());
            load(10, &mut Redb::new());
            chunks();
        }
    }
}

/// What is compared.
trait Store {
    const NAME: &'static str;
    type Reader: FnMut(&Cookie) -> usize + Send + 'static;

    fn put(&mut self, entries: Vec<Entry>);
    fn sync(&mut self, position: u64);
    fn reader(&self) -> Self::Reader;
    fn disk_bytes(&self) -> u64;
}

fn load(seconds: u64, store: &mut (impl Store + ?Sized)) {
    let done = Arc::new(AtomicBool::new(false));
    let reads = spawn_reads(store.reader(), Arc::clone(&done));
    let (cpu, start) = (cpu_seconds(), Instant::now());
    let mut late = Duration::ZERO;
    let mut tags = 0;
    let mut random = SmallRng::seed_from_u64(1);
    while tags < seconds * TAGS_A_SECOND {
        let due = start + Duration::from_secs_f64(tags as f64 / TAGS_A_SECOND as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        late = late.max(due.elapsed());
        store.put(entries(&mut random, tags, TAGS_A_PUT));
        tags += TAGS_A_PUT;
        if tags % TAGS_A_SECOND == 0 {
            store.sync(tags);
        }
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    done.store(true, Ordering::Relaxed);
    let mut reads = reads.join().expect("reads");
    reads.sort_unstable();
    let at = |share: f64| reads[((reads.len() - 1) as f64 * share) as usize];
    println!(
        "{}: {tags} tags in {wall:.1} s, at most {late:.1?} late; {:.2} CPU s a million tags; {} reads: p50 {:.1?}, p99 {:.1?}, \
         max {:.1?}; {} MiB in memory (peak {}); {} MiB on disk",
        type_name(store),
        cpu * 1e6 / tags as f64,
        reads.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        status_mib("VmRSS"),
        status_mib("VmHWM"),
        store.disk_bytes() >> 20,
    );
}

fn type_name<S: Store + ?Sized>(_: &S) -> &'static str {
    S::NAME
}

fn spawn_reads(
    mut read: impl FnMut(&Cookie) -> usize + Send + 'static,
    done: Arc<AtomicBool>,
) -> thread::JoinHandle<Vec<Duration>> {
    thread::spawn(move || {
        let mut random = SmallRng::seed_from_u64(2);
        let mut times = Vec::new();
        while !done.load(Ordering::Relaxed) {
            thread::sleep(READ_EVERY);
            let cookie = cookie(&mut random);
            let start = Instant::now();
            read(&cookie);
            times.push(start.elapsed());
        }
        times
    })
}

fn entries(random: &mut SmallRng, first: u64, count: u64) -> Vec<Entry> {
    (first..first + count).map(|number| entry(random, number)).collect()
}

fn entry(random: &mut SmallRng, number: u64) -> Entry {
    let mut packed = vec![0; PACKED_BYTES];
    random.fill_bytes(&mut packed[8..]);
    Entry {
        cookie: cookie(random),
        action: if random.random_ratio(1, 10) { Action::Buy } else { Action::View },
        instant: model::Instant::from_ms(START_MS + number.cast_signed()),
        identity: random.random(),
        accepted_ms: 0,
        packed,
    }
}

fn cookie(random: &mut SmallRng) -> Cookie {
    Cookie(format!("cookie-{:012}", random.random_range(0..COOKIES)))
}

struct Fjall {
    runtime: Arc<tokio::runtime::Runtime>,
    store: EmbeddedStore,
    directory: TempDir,
}

impl Fjall {
    fn new() -> Self {
        let directory = tempfile::tempdir_in(".").expect("a directory");
        let store = EmbeddedStore::open(directory.path(), Options::default()).expect("opens");
        Self { runtime: Arc::new(runtime()), store, directory }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

impl Store for Fjall {
    const NAME: &'static str = "fjall";
    type Reader = Box<dyn FnMut(&Cookie) -> usize + Send>;

    fn put(&mut self, entries: Vec<Entry>) {
        self.runtime.block_on(self.store.put(entries)).expect("puts");
    }

    fn sync(&mut self, position: u64) {
        // As in the binary, puts go on meanwhile.
        let store = self.store.clone();
        self.runtime.spawn(async move {
            store.sync_checkpoints(0, &[("profile-worker", Position(position))]).await.expect("syncs");
        });
    }

    fn reader(&self) -> Self::Reader {
        let (store, runtime) = (self.store.clone(), Arc::clone(&self.runtime));
        Box::new(move |cookie| {
            let range = TimeRange { from: model::Instant::from_ms(0), to: model::Instant::from_ms(i64::MAX) };
            runtime.block_on(store.newest(cookie, Action::View, range, 200)).expect("reads").len()
        })
    }

    fn disk_bytes(&self) -> u64 {
        bytes_in(self.directory.path())
    }
}

struct Redb {
    database: Arc<Database>,
    directory: TempDir,
}

impl Redb {
    fn new() -> Self {
        let directory = tempfile::tempdir_in(".").expect("a directory");
        let mut builder = Database::builder();
        builder.set_cache_size(64 << 20);
        let database = builder.create(directory.path().join("redb")).expect("creates");
        let write = database.begin_write().expect("begins");
        write.open_table(TABLE).expect("opens");
        write.commit().expect("commits");
        Self { database: Arc::new(database), directory }
    }

    fn write(&self, entries: &[Entry], durability: Durability) {
        let mut write = self.database.begin_write().expect("begins");
        write.set_durability(durability).expect("sets");
        {
            let mut table = write.open_table(TABLE).expect("opens");
            for entry in entries {
                table.insert(&redb_key(entry), &entry.packed[..]).expect("inserts");
            }
        }
        write.commit().expect("commits");
    }
}

fn redb_key(entry: &Entry) -> [u8; 33] {
    let mut key = [0; 33];
    key[..17].copy_from_slice(&redb_list(&entry.cookie, entry.action));
    key[17..25].copy_from_slice(&entry.instant.to_ordered_bytes().map(|byte| !byte));
    key[25..].copy_from_slice(&entry.identity.to_be_bytes());
    key
}

fn redb_list(cookie: &Cookie, action: Action) -> [u8; 17] {
    let mut list = [0; 17];
    list[..16].copy_from_slice(&blake3::hash(cookie.0.as_bytes()).as_bytes()[..16]);
    list[16] = action.code();
    list
}

impl Store for Redb {
    const NAME: &'static str = "redb";
    type Reader = Box<dyn FnMut(&Cookie) -> usize + Send>;

    fn put(&mut self, entries: Vec<Entry>) {
        self.write(&entries, Durability::None);
    }

    fn sync(&mut self, _: u64) {
        self.write(&[], Durability::Immediate);
    }

    fn reader(&self) -> Self::Reader {
        let database = Arc::clone(&self.database);
        Box::new(move |cookie| {
            let (mut from, mut to) = ([0; 33], [0xff; 33]);
            from[..17].copy_from_slice(&redb_list(cookie, Action::View));
            to[..17].copy_from_slice(&redb_list(cookie, Action::View));
            let read = database.begin_read().expect("begins");
            let table = read.open_table(TABLE).expect("opens");
            let found = table.range::<&[u8; 33]>(&from..=&to).expect("ranges").take(200);
            found.map(|found| usize::from(!found.expect("reads").1.value().is_empty())).sum()
        })
    }

    fn disk_bytes(&self) -> u64 {
        bytes_in(self.directory.path())
    }
}

fn fill(directory: &Path, tags: u64) {
    let store = EmbeddedStore::open(directory, Options::default()).expect("opens");
    let runtime = runtime();
    let mut random = SmallRng::seed_from_u64(1);
    let start = Instant::now();
    runtime.block_on(async {
        for first in (0..tags).step_by(250) {
            store.put(entries(&mut random, first, TAGS_A_PUT)).await.expect("puts");
            if first % TAGS_A_SECOND == 0 {
                store.sync_checkpoints(0, &[("profile-worker", Position(first))]).await.expect("syncs");
            }
        }
        store.sync_checkpoints(0, &[("profile-worker", Position(tags))]).await.expect("syncs");
        store.sync_checkpoints(0, &[("profile-worker", Position(tags))]).await.expect("syncs");
    });
    println!("filled in {:.1?}: {} MiB on disk", start.elapsed(), bytes_in(directory) >> 20);
    process::abort();
}

fn open(directory: &Path) {
    let start = Instant::now();
    let store = EmbeddedStore::open(directory, Options::default()).expect("opens");
    println!("opened in {:.1?}: {} MiB in memory", start.elapsed(), status_mib("VmRSS"));
    thread::sleep(Duration::from_secs(10));
    println!("10 s later: {} MiB in memory, {:.2} CPU s", status_mib("VmRSS"), cpu_seconds());
    let checkpoint = runtime().block_on(store.checkpoint("profile-worker"));
    println!("checkpoint {checkpoint:?}, {} MiB on disk", bytes_in(directory) >> 20);
}

fn chunks() {
    let fjall = Fjall::new();
    let (store, runtime) = (&fjall.store, &fjall.runtime);
    let mut random = SmallRng::seed_from_u64(3);
    let keys = runtime.block_on(async {
        for minute in 0..200 {
            let mut chunk = vec![0; 240_000];
            random.fill_bytes(&mut chunk);
            let bucket = BucketStart::from_minutes(minute);
            store.add_blocks(vec![(bucket, Bytes::from(vec![1; 1_000]))]).await.expect("adds");
            let sealing = store.begin_seal(bucket).await.expect("begins");
            let swap = Swap {
                bucket,
                token: sealing.token,
                merged: sealing.head.blocks,
                replaced: Vec::new(),
                chunks: vec![(Action::View, chunk.into())],
            };
            assert!(store.swap(swap).await.expect("swaps"));
        }
        let minutes: Vec<_> = (0..200).map(BucketStart::from_minutes).collect();
        let heads = store.heads(&minutes).await.expect("reads");
        heads.into_iter().map(|head| head.chunks[0]).collect::<Vec<_>>()
    });
    thread::sleep(Duration::from_secs(2));
    let mut times: Vec<_> = (0..2_000)
        .map(|_| {
            let first = random.random_range(0..keys.len() - 10);
            let start = Instant::now();
            let found = runtime.block_on(store.chunks(&keys[first..first + 10])).expect("reads");
            assert!(found.iter().all(|chunk| chunk.as_ref().is_some_and(|chunk| chunk.len() == 240_000)));
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "10 chunks of 240 KB: p50 {:.1?}, p99 {:.1?}, max {:.1?}",
        times[1_000], times[1_980], times[1_999]
    );
}

fn minutes_pass(minutes: i64) {
    const KEPT: i64 = 100;
    let fjall = Fjall::new();
    let (store, runtime) = (&fjall.store, &fjall.runtime);
    let mut random = SmallRng::seed_from_u64(4);
    let (cpu, start) = (cpu_seconds(), Instant::now());
    runtime.block_on(async {
        for minute in 0..minutes {
            let bucket = BucketStart::from_minutes(minute);
            for sealing in 1..=6 {
                for _ in 0..20 {
                    store.add_blocks(vec![(bucket, vec![1; 10_000].into())]).await.expect("adds");
                }
                let mut chunk = vec![0; 40_000 * sealing];
                random.fill_bytes(&mut chunk);
                let begun = store.begin_seal(bucket).await.expect("begins");
                let (token, merged, replaced) = (begun.token, begun.head.blocks, begun.head.chunks);
                let swap =
                    Swap { bucket, token, merged, replaced, chunks: vec![(Action::View, chunk.into())] };
                assert!(store.swap(swap).await.expect("swaps"));
            }
            store.raise_floor(BucketStart::from_minutes(minute - KEPT)).await.expect("raises");
            store
                .sync_checkpoints(0, &[("aggregate-worker", Position(minute.cast_unsigned()))])
                .await
                .expect("syncs");
        }
    });
    let wall = start.elapsed();
    println!(
        "{minutes} minutes in {:.1?}, {:.1} CPU s; {} MiB on disk for {} MiB that are kept; {} MiB in memory (peak {})",
        wall,
        cpu_seconds() - cpu,
        fjall.disk_bytes() >> 20,
        (KEPT * 240_000) >> 20,
        status_mib("VmRSS"),
        status_mib("VmHWM"),
    );
}

fn bytes_in(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("reads").map(|entry| entry.expect("reads"));
    let bytes = |entry: fs::DirEntry| {
        use std::os::unix::fs::MetadataExt;
        let Ok(meta) = entry.metadata() else { return 0 };
        if meta.is_dir() { bytes_in(&entry.path()) } else { 512 * meta.blocks() }
    };
    entries.map(bytes).sum()
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").expect("reads");
    let fields = stat.rsplit_once(") ").expect("a name").1.split(' ').skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / TICKS_A_SECOND
}

fn status_mib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("reads");
    let line = status.lines().find(|line| line.starts_with(field)).expect("a line");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") >> 10
}
