//! A broker that was stuck is fenced by its controller and comes back as a new leader: who stood at the end must hear of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::delivery::{Limits, Rejection, Sink};
use event_log::{Append, Error, EventLog, Position, Recorded};
use event_log_kafka::{KafkaLog, Source};
use support::{Broker, PATIENCE, number_of, numbered};
use tokio::sync::{mpsc, oneshot};

/// Longer than a controller waits for a broker's heartbeat.
const STUCK: Duration = Duration::from_secs(12);

async fn stick(broker: &Broker) {
    broker.signal("-STOP");
    tokio::time::sleep(STUCK).await;
    broker.signal("-CONT");
}

/// Appends, as often as it takes.
async fn append(log: &KafkaLog, number: u64) -> Position {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match log.append(numbered(number)).await {
            Ok(position) => return position,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_at_the_end_goes_on_after_a_broker_was_stuck() {
    const READERS: u64 = 4;
    let Some(broker) = support::own("a stuck broker") else { return };
    let topic = broker.topic(1, &[]).await;
    let log = broker.kafka().log(&topic).await.unwrap();
    let mut end = log.append(numbered(0)).await.unwrap();
    let (says, mut reads) = mpsc::unbounded_channel();
    for reader in 0..READERS {
        let (log, says) = (broker.kafka().log(&topic).await.unwrap(), says.clone());
        tokio::spawn(async move {
            let mut next = Position::default();
            // Like a delivery: again after every error, until the test is over.
            while !says.is_closed() {
                let events = log.read(next, 1 << 20, Duration::from_secs(1)).await.unwrap_or_default();
                next = events.last().map_or(next, |last| last.next);
                for recorded in events {
                    let _ = says.send((reader, recorded.position));
                }
            }
        });
    }
    for round in 0..2 {
        let mut missing: HashSet<u64> = (0..READERS).collect();
        while !missing.is_empty() {
            let read = tokio::time::timeout(PATIENCE, reads.recv()).await;
            let (reader, position) = read.unwrap_or_else(|_| panic!("{missing:?} stand still")).unwrap();
            if position == end {
                missing.remove(&reader);
            }
        }
        if round == 0 {
            stick(&broker).await;
            end = append(&log, 1).await;
        }
    }
}

/// Says what it takes.
struct Says(mpsc::UnboundedSender<u64>);

impl Sink for Says {
    async fn deliver(&self, recorded: Recorded) -> Result<(), Rejection> {
        let _ = self.0.send(number_of(&recorded.event));
        Ok(())
    }

    async fn bury(&self, _: Recorded, reason: String) -> Result<(), Error> {
        panic!("{reason}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_goes_on_after_a_broker_was_stuck() {
    let Some(broker) = support::own("a stuck broker of a group") else { return };
    let source = Source { topic: broker.topic(1, &[]).await, group: support::unique("group") };
    let kafka = broker.kafka();
    let log = kafka.log(&source.topic).await.unwrap();
    let (says, mut taken) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let limits = Limits { drain: Duration::from_millis(500), ..Limits::default() };
    let sink = Arc::new(Says(says));
    let member = tokio::spawn(async move {
        kafka.consume(source, sink, limits, async { stopped.await.unwrap_or(()) }).await
    });
    for round in 0..2 {
        append(&log, round).await;
        while tokio::time::timeout(PATIENCE, taken.recv()).await.expect("it goes on").unwrap() != round {}
        if round == 0 {
            stick(&broker).await;
        }
    }
    stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, member).await.expect("it leaves").unwrap().unwrap();
}
