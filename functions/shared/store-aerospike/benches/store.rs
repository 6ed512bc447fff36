//! How fast the stores on Aerospike are: `ALLEZON_AEROSPIKE=127.0.0.1:3000 cargo bench -p store-aerospike`.
//!
//! Puts as a worker does, batches of 125 tags of random shoppers with 16 in flight, into profiles that are empty and full;
//! the newest tags of full profiles beside a raw get of the same record. `SECONDS`, `COOKIES` and `FULL` alter the size.
//! `FILL=COUNT` fills as many profiles that traffic will find, those of `cookie_0` and so on, and does nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as Clock};

use aerospike::{AdminPolicy, Bins, Client, ClientPolicy, Key, ReadPolicy, Value};
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use model::{Action, Cookie, Device, Instant, NameNumber, NameRef, PackedTag, ProductId, TimeRange};
use rand::Rng;
use store::{Entry, KEPT_TAGS, ProfileStore};
use store_aerospike::{AerospikeOptions, AerospikeStore};

const BATCH: usize = 125;
const IN_FLIGHT: usize = 16;
/// What a server of 7.1 or later counts as one write.
const WRITE_BLOCK_BYTES: u64 = 8 << 20;
/// Older than the traffic of other benchmarks, so that theirs takes the place of what is filled in.
const NOW_MS: i64 = 1_600_000_000_000;
const EVER: TimeRange = TimeRange { from: Instant::from_ms(0), to: Instant::from_ms(i64::MAX) };

struct Bench {
    store: AerospikeStore,
    raw: Client,
    sets: String,
    run_for: Duration,
    next: AtomicU64,
}

fn main() {
    let Ok(hosts) = std::env::var("ALLEZON_AEROSPIKE") else {
        eprintln!("skipped: benches/store.rs (set ALLEZON_AEROSPIKE)");
        return;
    };
    tokio::runtime::Runtime::new().expect("a runtime").block_on(run(hosts));
}

async fn run(hosts: String) {
    let fill = number("FILL", 0);
    let sets = if fill > 0 { String::new() } else { "b-".to_owned() };
    let options =
        AerospikeOptions { aerospike_hosts: hosts, aerospike_sets: sets.clone(), ..Default::default() };
    let store = AerospikeStore::connect(&options).await.expect("connects");
    let raw = Client::new(&ClientPolicy::default(), &options.aerospike_hosts).await.expect("connects");
    let run_for = Duration::from_secs(number("SECONDS", 10));
    let bench = Arc::new(Bench { store, raw, sets, run_for, next: AtomicU64::new(0) });
    if fill > 0 {
        return bench.fill(fill).await;
    }
    bench.empty().await;
    bench.puts("puts, empty profiles", number("COOKIES", 1_000_000)).await;
    bench.empty().await;
    let full = number("FULL", 50_000);
    bench.fill(full).await;
    bench.puts("puts, full profiles", full).await;
    for readers in [1, IN_FLIGHT] {
        bench.reads(full, readers).await;
    }
    bench.empty().await;
}

impl Bench {
    async fn empty(&self) {
        let policy = AdminPolicy { timeout: 10_000 };
        let set = format!("{}profiles", self.sets);
        self.raw.truncate(&policy, "allezon", &set, 0).await.expect("truncates");
    }

    async fn puts(self: &Arc<Self>, what: &str, cookies: u64) {
        let (begin, cpu, written) = (Clock::now(), cpu_seconds(), self.written().await);
        let work = (0..IN_FLIGHT).map(|_| tokio::spawn(Arc::clone(self).put_some(cookies)));
        let mut times = Histogram::<u64>::new(3).expect("a histogram");
        for done in join_all(work).await {
            times.add(done.expect("no panic")).expect("adds");
        }
        let (seconds, tags) = (begin.elapsed().as_secs_f64(), times.len() * BATCH as u64);
        println!(
            "{what}: {:.0} tags/s; a batch of {BATCH}: p50 {:.1} ms, p99 {:.1} ms; client {:.1} us of CPU a tag; {:.0} bytes written a tag",
            tags as f64 / seconds,
            times.value_at_quantile(0.5) as f64 / 1e3,
            times.value_at_quantile(0.99) as f64 / 1e3,
            (cpu_seconds() - cpu) * 1e6 / tags as f64,
            (self.written().await - written) as f64 / tags as f64,
        );
    }

    async fn put_some(self: Arc<Self>, cookies: u64) -> Histogram<u64> {
        let mut times = Histogram::new(3).expect("a histogram");
        let begin = Clock::now();
        while begin.elapsed() < self.run_for {
            let entries = (0..BATCH).map(|_| self.entry(rand::rng().random_range(0..cookies))).collect();
            let begin = Clock::now();
            self.put(entries).await;
            times.record(micros(begin)).expect("records");
        }
        times
    }

    /// As a worker: again until it is there.
    async fn put(&self, entries: Vec<Entry>) {
        while let Err(failed) = self.store.put(entries.clone()).await {
            eprintln!("{failed}");
        }
    }

    async fn fill(self: &Arc<Self>, cookies: u64) {
        let fill = async |bench: &Self, part: u64| {
            for cookie in (part..cookies).step_by(IN_FLIGHT) {
                for action in [Action::View, Action::Buy] {
                    let entries = (0..KEPT_TAGS).map(|_| Entry { action, ..bench.entry(cookie) });
                    bench.put(entries.collect()).await;
                }
            }
        };
        join_all((0..IN_FLIGHT as u64).map(|part| fill(self, part))).await;
    }

    async fn reads(self: &Arc<Self>, cookies: u64, readers: usize) {
        let mut newest = Histogram::<u64>::new(3).expect("a histogram");
        let mut raw = newest.clone();
        let work = (0..readers).map(|_| tokio::spawn(Arc::clone(self).read_some(cookies)));
        for done in join_all(work).await {
            let (own, get) = done.expect("no panic");
            newest.add(own).expect("adds");
            raw.add(get).expect("adds");
        }
        let show = |times: &Histogram<u64>| {
            format!("p50 {} us, p99 {} us", times.value_at_quantile(0.5), times.value_at_quantile(0.99))
        };
        println!("newest 200, {readers} in flight: {}; raw get: {}", show(&newest), show(&raw));
    }

    /// Turn by turn, so that both meet the same load.
    async fn read_some(self: Arc<Self>, cookies: u64) -> (Histogram<u64>, Histogram<u64>) {
        let mut newest = Histogram::<u64>::new(3).expect("a histogram");
        let mut raw = newest.clone();
        let begin = Clock::now();
        while begin.elapsed() < self.run_for {
            let cookie = cookie(rand::rng().random_range(0..cookies));
            let begin = Clock::now();
            let tags = self.store.newest(&cookie, Action::View, EVER, KEPT_TAGS).await.expect("reads");
            newest.record(micros(begin)).expect("records");
            assert_eq!(tags.len(), KEPT_TAGS);
            let key = [&[0], cookie.0.as_bytes()].concat();
            let key = Key::new("allezon", format!("{}profiles", self.sets), Value::Blob(key)).expect("a key");
            let begin = Clock::now();
            self.raw.get(&ReadPolicy::default(), &key, Bins::All).await.expect("gets");
            raw.record(micros(begin)).expect("records");
        }
        (newest, raw)
    }

    fn entry(&self, number: u64) -> Entry {
        let identity: u64 = rand::random();
        let name =
            |most| NameRef::Number(NameNumber::new(rand::rng().random_range(1..most)).expect("a number"));
        let packed = PackedTag {
            accepted_ms: NOW_MS.unsigned_abs(),
            sub_ms_nanos: 0,
            fraction_digits: 3,
            device: Device::Pc,
            product_id: ProductId::Integer(rand::rng().random_range(0..100_000)),
            country: name(200),
            origin: name(1_000),
            brand: name(5_000),
            category: name(1_000),
            price: rand::rng().random_range(0..100_000),
        };
        Entry {
            cookie: cookie(number),
            action: Action::View,
            instant: Instant::from_ms(NOW_MS + self.next.fetch_add(1, Ordering::Relaxed).cast_signed() / 25),
            identity,
            accepted_ms: packed.accepted_ms,
            packed: packed.to_bytes(),
        }
    }

    /// Bytes that the first node's devices were given to write, in whole blocks.
    async fn written(&self) -> u64 {
        let policy = AdminPolicy { timeout: 3_000 };
        let told = self.raw.info(&policy, &["namespace/allezon"]).await.expect("tells");
        let fields = told.values().flat_map(|text| text.split(';')).filter_map(|field| field.split_once('='));
        let writes = fields.filter(|(name, _)| name.ends_with("].writes"));
        writes.filter_map(|(_, count)| count.parse::<u64>().ok()).sum::<u64>() * WRITE_BLOCK_BYTES
    }
}

fn cookie(number: u64) -> Cookie {
    Cookie(format!("cookie_{number}"))
}

fn micros(since: Clock) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// User and system time of this process, from Linux's clock of 100 ticks a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
