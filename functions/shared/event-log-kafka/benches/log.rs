//! Batches of user tags through a Kafka of its own, in each compression.
//!
//! ```text
//! cargo bench -p event-log-kafka --bench log [-- TAGS_IN_A_BATCH SECONDS]
//! ```
//!
//! First one append after the other, then 64 at once, then all of it is read. Broker and client share the machine's
//! processors. Processor times are of this process and of the broker's, for each megabyte of batches; `disk` is what of a
//! batch's size the broker has stored.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails has failed")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cloudevents::Event;
use event_log::{Append, EventLog, Position};
use event_log_kafka::{Compression, Kafka, KafkaLog, KafkaOptions};
use futures_util::StreamExt;
use futures_util::stream::iter;
use hdrhistogram::Histogram;
use model::batch::AcceptedTag;
use model::{Batch, BatchId, UserTag};
use support::Broker;

/// A batch of 20 KB: what arrives in some milliseconds.
const TAGS: usize = 87;
const SECONDS: u64 = 5;
const AT_ONCE: usize = 64;
/// Different batches; more would not fit the caches of a real sender either.
const BATCHES: u64 = 200;
const READ_BYTES: usize = 4 << 20;

#[tokio::main]
async fn main() {
    let arguments: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let tags = arguments.first().map_or(TAGS, |tags| usize::try_from(*tags).unwrap());
    let duration = Duration::from_secs(arguments.get(1).copied().unwrap_or(SECONDS));
    let broker = support::own("the benchmark of the log on Kafka").expect("a broker");
    let batches: Vec<Event> = (0..BATCHES).map(|number| batch(number, tags)).collect();
    println!("batches of {tags} tags, {} bytes", bytes(&batches[0]));
    println!(
        "| | p50 ms | p99 ms | appends/s | MB/s | CPU ms/MB | broker's | disk | read MB/s | CPU ms/MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    // The first turn warms the broker up.
    for compression in [Compression::None, Compression::None, Compression::Lz4, Compression::Zstd] {
        measure(&broker, compression, &batches, duration).await;
    }
}

async fn measure(broker: &Broker, compression: Compression, batches: &[Event], duration: Duration) {
    let topic = broker.topic(1, &[]).await;
    let options = KafkaOptions { kafka_compression: compression, ..broker.options() };
    let log = Kafka::new(&options).unwrap().log(&topic).await.unwrap();
    let times = one_by_one(&log, batches, duration).await;
    let (spent, brokers, started) = (processor("self"), processor(&broker.pid()), Instant::now());
    let count = at_once(&log, batches, duration).await;
    let megabytes = megabytes(count, batches);
    let wall = started.elapsed().as_secs_f64();
    let (spent, brokers) = (processor("self") - spent, processor(&broker.pid()) - brokers);
    let stored = stored(&broker.data().join("log").join(format!("{topic}-0")));
    let appended = f64::from(u32::try_from(times.len()).unwrap() + count) / f64::from(count) * megabytes;
    print!(
        "| {compression:?} | {:.1} | {:.1} | {:.0} | {:.1} | {:.1} | {:.1} | {:.0} % ",
        times.value_at_quantile(0.5) as f64 / 1e3,
        times.value_at_quantile(0.99) as f64 / 1e3,
        f64::from(count) / wall,
        megabytes / wall,
        spent / megabytes,
        brokers / megabytes,
        stored / appended * 100.0,
    );
    let (spent, started) = (processor("self"), Instant::now());
    read_all(&log).await;
    let (spent, wall) = (processor("self") - spent, started.elapsed().as_secs_f64());
    println!("| {:.0} | {:.1} |", appended / wall, spent / appended);
}

/// In microseconds.
async fn one_by_one(log: &KafkaLog, batches: &[Event], duration: Duration) -> Histogram<u64> {
    let mut times = Histogram::new(3).unwrap();
    let end = Instant::now() + duration;
    for event in batches.iter().cycle() {
        let begin = Instant::now();
        if begin > end {
            break;
        }
        log.append(event.clone()).await.unwrap();
        times.record(u64::try_from(begin.elapsed().as_micros()).unwrap()).unwrap();
    }
    times
}

async fn at_once(log: &KafkaLog, batches: &[Event], duration: Duration) -> u32 {
    let end = Instant::now() + duration;
    let events = batches.iter().cycle().take_while(|_| Instant::now() < end);
    let appends = iter(events).map(|event| log.append(event.clone())).buffer_unordered(AT_ONCE);
    let counted = appends.fold(0, |count, appended| async move {
        appended.unwrap();
        count + 1
    });
    counted.await
}

async fn read_all(log: &KafkaLog) {
    let end = log.bounds().await.unwrap().end;
    let mut next = Position::default();
    while next < end {
        next = log.read(next, READ_BYTES, support::PATIENCE).await.unwrap().last().unwrap().next;
    }
}

/// Tags as the shop sends them: names of some dozens, cookies and products of many.
fn batch(sequence: u64, tags: usize) -> Event {
    let mut state = sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
    let mut below = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let mut tag = || {
        let json = format!(
            r#"{{"time":"2022-03-22T12:{:02}:{:02}.{:03}Z","cookie":"cookie-{}","country":"{}","device":"{}",
            "action":"{}","origin":"CAMPAIGN_{}","product_info":{{"product_id":{},"brand_id":"BRAND_{}",
            "category_id":"CATEGORY_{}","price":{}}}}}"#,
            below(60),
            below(60),
            below(1000),
            below(1_000_000),
            ["PL", "DE", "FR", "US"][below(4) as usize],
            ["PC", "MOBILE", "TV"][below(3) as usize],
            ["VIEW", "BUY"][below(2) as usize],
            below(100),
            below(100_000),
            below(250),
            below(67),
            below(100_000),
        );
        AcceptedTag { tag: UserTag::from_json(json.as_bytes()).unwrap(), identity: None }
    };
    let batch = Batch { accepted_ms: 1_700_000_000_000, tags: (0..tags).map(|_| tag()).collect() };
    batch.to_event(&BatchId { source: "/user-tags/0123456789abcdef".into(), sequence })
}

fn bytes(event: &Event) -> usize {
    model::batch::data_bytes(event).len()
}

fn megabytes(count: u32, batches: &[Event]) -> f64 {
    let all: usize = batches.iter().map(bytes).sum();
    f64::from(count) * all as f64 / batches.len() as f64 / 1e6
}

fn stored(partition: &Path) -> f64 {
    let files = fs::read_dir(partition).unwrap().map(Result::unwrap);
    let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
    logs.map(|file| file.metadata().unwrap().len()).sum::<u64>() as f64 / 1e6
}

/// Milliseconds of processor time that a process has taken.
fn processor(pid: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // In hundredths of a second, as Linux tells them everywhere.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 10.0
}
