//! A consumer group: each event at least once, whoever joins and leaves, and commits that tell how far it is.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_log::delivery::{Limits, Rejection, Sink};
use event_log::{Append, Error, Position, Recorded};
use event_log_kafka::{Kafka, OpenError, Source};
use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};
use support::{Broker, PATIENCE, number_of, numbered};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

type Rule = dyn Fn(u64) -> Result<(), Rejection> + Send + Sync;

/// A sink that remembers what it took and what was buried.
struct Notebook {
    rule: Box<Rule>,
    taken: Mutex<BTreeMap<u64, usize>>,
    buried: Mutex<Vec<(u64, String)>>,
    changed: watch::Sender<()>,
}

impl Notebook {
    fn new(rule: impl Fn(u64) -> Result<(), Rejection> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            rule: Box::new(rule),
            taken: Mutex::default(),
            buried: Mutex::default(),
            changed: watch::Sender::new(()),
        })
    }

    fn taken(&self) -> Vec<u64> {
        self.taken.lock().unwrap().keys().copied().collect()
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        timeout(PATIENCE, changed.wait_for(|()| holds(self))).await.expect("it never came").unwrap();
    }
}

impl Sink for Notebook {
    async fn deliver(&self, recorded: Recorded) -> Result<(), Rejection> {
        let number = number_of(&recorded.event);
        (self.rule)(number)?;
        *self.taken.lock().unwrap().entry(number).or_default() += 1;
        self.changed.send_replace(());
        Ok(())
    }

    async fn bury(&self, recorded: Recorded, reason: String) -> Result<(), Error> {
        self.buried.lock().unwrap().push((number_of(&recorded.event), reason));
        self.changed.send_replace(());
        Ok(())
    }
}

struct Member {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), OpenError>>,
}

impl Member {
    fn join(kafka: &Kafka, source: &Source, sink: &Arc<Notebook>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (kafka, source, sink) = (kafka.clone(), source.clone(), Arc::clone(sink));
        let limits = Limits { drain: Duration::from_millis(500), ..Limits::default() };
        let task = tokio::spawn(async move {
            kafka.consume(source, sink, limits, async { stopped.await.unwrap_or(()) }).await
        });
        Self { stop, task }
    }

    async fn leave(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.task).await.expect("it leaves").unwrap().unwrap();
    }
}

async fn source(broker: &Broker, partitions: i32) -> Source {
    Source { topic: broker.topic(partitions, &[]).await, group: support::unique("group") }
}

fn take_all() -> Arc<Notebook> {
    Notebook::new(|_| Ok(()))
}

async fn lag(kafka: &Kafka, source: &Source) -> u64 {
    kafka.progress(source).await.unwrap().iter().map(event_log_kafka::PartitionProgress::lag).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go() {
    let Some(broker) = support::shared("consumer groups on Kafka") else { return };
    let source = source(&broker, 4).await;
    let kafka = broker.kafka();
    let topic = kafka.topic(&source.topic).await.unwrap();
    let (first, second) = (take_all(), take_all());
    let (stop, stopped) = watch::channel(false);
    let appending = tokio::spawn(async move {
        for number in 0.. {
            if *stopped.borrow() {
                return number;
            }
            topic.append(numbered(number)).await.unwrap();
        }
        unreachable!("numbers do not end")
    });
    let one = Member::join(&kafka, &source, &first);
    first.until(|sink| sink.taken().len() > 100).await;
    let other = Member::join(&kafka, &source, &second);
    second.until(|sink| sink.taken().len() > 100).await;
    one.leave().await;
    let before = first.taken().len();
    let one = Member::join(&kafka, &source, &first);
    first.until(|sink| sink.taken().len() > before + 100).await;
    stop.send_replace(true);
    let count = appending.await.unwrap();
    let all_taken = async {
        while lag(&kafka, &source).await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, all_taken).await.expect("all is committed in the end");
    one.leave().await;
    other.leave().await;
    let mut taken = first.taken();
    taken.extend(second.taken());
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken, (0..count).collect::<Vec<_>>());

    // Nothing comes again to who comes later.
    let third = take_all();
    let late = Member::join(&kafka, &source, &third);
    kafka.topic(&source.topic).await.unwrap().append(numbered(count)).await.unwrap();
    third.until(|sink| !sink.taken().is_empty()).await;
    late.leave().await;
    assert_eq!(third.taken(), [count]);
    assert_eq!(lag(&kafka, &source).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_taken_is_committed() {
    let Some(broker) = support::shared("commits on Kafka") else { return };
    let source = source(&broker, 1).await;
    let kafka = broker.kafka();
    assert_eq!(kafka.progress(&source).await.unwrap()[0].committed, None);
    let log = kafka.log(&source.topic).await.unwrap();
    for number in 0..20 {
        log.append(numbered(number)).await.unwrap();
    }
    let stuck = Notebook::new(|number| match number {
        4 => Err(Rejection::Never("makes no sense".to_owned())),
        7 => Err(Rejection::Later("not now".to_owned())),
        _ => Ok(()),
    });
    let member = Member::join(&kafka, &source, &stuck);
    stuck.until(|sink| sink.taken().len() == 18 && !sink.buried.lock().unwrap().is_empty()).await;
    member.leave().await;
    assert_eq!(*stuck.buried.lock().unwrap(), [(4, "makes no sense".to_owned())]);
    let progress = kafka.progress(&source).await.unwrap()[0];
    assert_eq!(progress.committed, Some(Position(7)));
    assert_eq!((progress.bounds.end, progress.lag()), (Position(20), 13));
    let better = take_all();
    let member = Member::join(&kafka, &source, &better);
    better.until(|sink| sink.taken().len() == 13).await;
    member.leave().await;
    assert_eq!(better.taken(), (7..20).collect::<Vec<_>>());
    assert_eq!(lag(&kafka, &source).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_members_can_be_moved() {
    let Some(broker) = support::shared("moving a group of Kafka") else { return };
    let (kafka, topic) = (broker.kafka(), broker.topic(2, &[]).await);
    let source = Source { group: support::unique("group"), topic };
    kafka.commit(&source, 1, Position(3)).await.unwrap();
    kafka.commit(&source, 1, Position(5)).await.unwrap();
    let committed: Vec<_> =
        kafka.progress(&source).await.unwrap().iter().map(|partition| partition.committed).collect();
    assert_eq!(committed, [None, Some(Position(5))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_let_go_holds_nobody_up() {
    let Some(broker) = support::shared("a trimmed topic on Kafka") else { return };
    let source = source(&broker, 1).await;
    let kafka = broker.kafka();
    let log = kafka.log(&source.topic).await.unwrap();
    for number in 0..3 {
        log.append(numbered(number)).await.unwrap();
    }
    let sink = take_all();
    let member = Member::join(&kafka, &source, &sink);
    sink.until(|sink| sink.taken().len() == 3).await;
    member.leave().await;
    for number in 3..9 {
        log.append(numbered(number)).await.unwrap();
    }
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&source.topic, 0, Offset::Offset(6)).unwrap();
    broker.admin().delete_records(&offsets, &AdminOptions::new()).await.unwrap();
    let sink = take_all();
    let member = Member::join(&kafka, &source, &sink);
    sink.until(|sink| sink.taken().len() == 3).await;
    member.leave().await;
    assert_eq!(sink.taken(), [6, 7, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_broker_is_gone_on_with() {
    let Some(broker) = support::own("a consumer group over a restart of Kafka") else { return };
    let source = source(&broker, 2).await;
    let kafka = broker.kafka();
    let topic = kafka.topic(&source.topic).await.unwrap();
    let sink = take_all();
    let member = Member::join(&kafka, &source, &sink);
    topic.append(numbered(0)).await.unwrap();
    sink.until(|sink| sink.taken().len() == 1).await;
    tokio::task::block_in_place(|| broker.run("kill9"));
    tokio::task::block_in_place(|| broker.run("start"));
    let append = async { while topic.append(numbered(1)).await.is_err() {} };
    timeout(PATIENCE, append).await.expect("appends go on");
    sink.until(|sink| sink.taken().len() == 2).await;
    member.leave().await;
    assert_eq!(lag(&kafka, &source).await, 0);
}

#[tokio::test]
async fn a_missing_topic_is_told() {
    let Some(broker) = support::shared("consuming a missing topic on Kafka") else { return };
    let source = Source { topic: support::unique("missing"), group: "any".to_owned() };
    let consumed =
        broker.kafka().consume(source, take_all(), Limits::default(), std::future::pending()).await;
    assert!(matches!(consumed, Err(OpenError::NoTopic { .. })), "{consumed:?}");
}
