//! Appends while the broker is killed, stopped or stuck, and those that it refuses.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_log::{Append, Error, EventLog, Position};
use event_log_kafka::{Kafka, KafkaLog, KafkaOptions};
use futures_util::FutureExt;
use futures_util::future::join_all;
use support::{Broker, PATIENCE, all, number_of, numbered, sized};
use tokio::sync::watch;
use tokio::time::timeout;

/// With the patience that a function has.
fn impatient(broker: &Broker) -> Kafka {
    Kafka::new(&KafkaOptions { kafka_append_timeout_ms: None, ..broker.options() }).unwrap()
}

async fn until_appended(log: &KafkaLog, number: u64) -> Position {
    let append = async {
        loop {
            match log.append(numbered(number)).await {
                Ok(position) => return position,
                Err(Error::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(PATIENCE, append).await.expect("it comes back by itself")
}

fn unavailable(appended: &Result<Position, Error>) -> bool {
    matches!(appended, Err(Error::Unavailable { .. }))
}

/// Appends numbers of its own until it is told to stop, and gives back which are where.
async fn append_on(
    log: Arc<KafkaLog>,
    first: u64,
    acknowledged: Arc<AtomicU64>,
    stop: watch::Receiver<bool>,
) -> Vec<(u64, Position)> {
    let mut told = Vec::new();
    for nth in 0.. {
        if *stop.borrow() {
            break;
        }
        let number = first + nth * 1_000;
        if let Ok(position) = log.append(sized(number, 2_000)).await {
            told.push((number, position));
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_keeps_what_it_acknowledged() {
    let Some(broker) = support::own("kill -9 of Kafka") else { return };
    let topic = broker.topic(1, &[]).await;
    let log = Arc::new(impatient(&broker).log(&topic).await.unwrap());
    let (stop, stopped) = watch::channel(false);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let appending: Vec<_> = (0..8)
        .map(|first| {
            tokio::spawn(append_on(Arc::clone(&log), first, Arc::clone(&acknowledged), stopped.clone()))
        })
        .collect();
    for _ in 0..2 {
        let before = acknowledged.load(Ordering::Relaxed);
        let more = async {
            while acknowledged.load(Ordering::Relaxed) < before + 500 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, more).await.expect("appends go on");
        let killed = Arc::clone(&acknowledged);
        tokio::task::block_in_place(|| broker.run("kill9"));
        let at_kill = killed.load(Ordering::Relaxed);
        assert!(at_kill > before);
        tokio::task::block_in_place(|| broker.run("start"));
    }
    until_appended(&log, 999).await;
    stop.send_replace(true);
    let told: Vec<_> = join_all(appending).await.into_iter().flat_map(Result::unwrap).collect();
    let found: BTreeMap<_, _> =
        all(&*log).await.iter().map(|found| (found.position, number_of(&found.event))).collect();
    assert!(told.len() >= 1_000);
    for (number, position) in told {
        assert_eq!(found.get(&position), Some(&number), "{number} at {position:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_broker_is_unavailable_and_comes_back() {
    let Some(broker) = support::own("stop and start of Kafka") else { return };
    let topic = broker.topic(1, &[]).await;
    let log = impatient(&broker).log(&topic).await.unwrap();
    let first = until_appended(&log, 1).await;
    assert_eq!(log.read(first, 1 << 20, PATIENCE).await.unwrap().len(), 1);
    tokio::task::block_in_place(|| broker.run("stop"));
    for number in 2..5 {
        assert!(unavailable(&log.append(numbered(number)).await));
    }
    let waiting = log.read(Position(first.0 + 1), 1 << 20, Duration::ZERO).await;
    assert!(matches!(waiting, Err(Error::Unavailable { .. })), "{waiting:?}");
    tokio::task::block_in_place(|| broker.run("start"));
    let last = until_appended(&log, 9).await;
    assert_eq!(number_of(&all(&log).await.last().unwrap().event), 9);
    assert_eq!(log.bounds().await.unwrap().end.0, last.0 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_broker_fills_no_memory() {
    let Some(broker) = support::own("a stuck Kafka") else { return };
    let topic = broker.topic(1, &[]).await;
    let log = impatient(&broker).log(&topic).await.unwrap();
    until_appended(&log, 1).await;
    broker.signal("-STOP");
    let mut appends: Vec<_> = (0..6_000).map(|number| Box::pin(log.append(numbered(number)))).collect();
    let refused_at_once = appends.iter_mut().filter_map(FutureExt::now_or_never).count();
    assert!(refused_at_once >= 1_900, "only {refused_at_once} were refused at once");
    drop(appends);
    // For so long that another client is tried.
    for number in 0..40 {
        assert!(unavailable(&log.append(numbered(7_000 + number)).await));
    }
    broker.signal("-CONT");
    until_appended(&log, 8_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_topic_does_not_take_is_refused() {
    let Some(broker) = support::shared("refusals of Kafka") else { return };
    let topic = broker.topic(1, &[("max.message.bytes", "600000")]).await;
    let log = broker.kafka().log(&topic).await.unwrap();
    // Others that are under way are not refused with it, although they fill batches.
    let others = join_all((0..200).map(|number| log.append(sized(number, 20_000))));
    let large = join_all((0..3).map(|number| log.append(sized(number, 700_000))));
    let (others, large) = futures_util::join!(others, large);
    assert!(others.iter().all(Result::is_ok), "{others:?}");
    for refused in large {
        assert!(matches!(refused, Err(Error::TooLarge { bytes }) if bytes >= 700_000), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_takes_events_in_any_partition() {
    let Some(broker) = support::shared("appending to many partitions of Kafka") else { return };
    let topic = broker.topic(4, &[]).await;
    let kafka = broker.kafka();
    let appending = kafka.topic(&topic).await.unwrap();
    for told in join_all((0..100).map(|number| appending.append(numbered(number)))).await {
        told.unwrap();
    }
    let mut found = Vec::new();
    for log in kafka.partitions(&topic).await.unwrap() {
        found.extend(all(&log).await.iter().map(|recorded| number_of(&recorded.event)));
    }
    found.sort_unstable();
    assert_eq!(found, (0..100).collect::<Vec<_>>());
}
