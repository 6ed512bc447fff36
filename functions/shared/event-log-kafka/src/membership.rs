//! A member of a consumer group: which partitions are ours, and what is committed. Others read them.
//!
//! One thread polls librdkafka. It is told there what is assigned and revoked, and may take its time: the heartbeats go on
//! by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_log::Position;
use event_log::delivery::Progress;
use futures_util::future::join_all;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::ear::Ear;
use crate::kafka::Shared;
use crate::lag::committed_in;
use crate::settings::PATIENCE;
use crate::{OpenError, Source};

/// How often the thread looks up.
const POLL: Duration = Duration::from_millis(100);
/// How often it is committed what was acknowledged: so much comes again after a crash.
const COMMIT_EACH: Duration = Duration::from_secs(1);

/// How often it is asked whether somebody answers, how long the answer may take, and how many may be missing
/// (`renewed.rs` tells why).
const ASK_EACH: Duration = Duration::from_secs(4);
const ASK_PATIENCE: Duration = Duration::from_secs(1);
const UNHEARD: u32 = 2;

/// A delivery of one partition under way.
pub(crate) struct Running {
    pub(crate) progress: Arc<Progress>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<()>,
    /// What was committed last by us.
    pub(crate) committed: Option<Position>,
}

/// Begins to deliver a partition from a position on.
type Deliver = Box<dyn Fn(i32, Position) -> Running + Send + Sync>;

/// What is ours.
pub(crate) struct Membership {
    ear: Ear,
    shared: Arc<Shared>,
    source: Source,
    runtime: Handle,
    deliver: Deliver,
    /// Assigned, and not begun.
    assigned: Mutex<BTreeSet<i32>>,
    running: Mutex<BTreeMap<i32, Running>>,
}

type Client = BaseConsumer<Membership>;

/// Why a membership has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As it was told.
    Stopped,
    /// The cluster does not answer this client. Another one may do better.
    Unheard,
}

/// Works on what is assigned until `stop`, or until nobody answers. Then it drains and commits. The client leaves the group
/// when it is dropped, which may take its time.
pub(crate) fn run(client: &Client, stop: &AtomicBool) -> Result<End, OpenError> {
    let member = Arc::clone(client.context());
    let _runtime = member.runtime.enter();
    let end = member.work(client, stop);
    member.assigned().clear();
    let all = std::mem::take(&mut *member.running());
    // A commit that finds no coordinator waits for one, and a client that has forgotten all brokers will not find any.
    let commits = !matches!(end, Ok(End::Unheard));
    member.end(client, all, commits);
    end
}

impl Membership {
    pub(crate) fn new(shared: Arc<Shared>, source: Source, runtime: Handle, deliver: Deliver) -> Self {
        Self {
            ear: Ear::default(),
            shared,
            source,
            runtime,
            deliver,
            assigned: Mutex::default(),
            running: Mutex::default(),
        }
    }

    pub(crate) fn join(self) -> Result<Client, OpenError> {
        let (config, topic) = (self.shared.settings.member(&self.source.group), self.source.topic.clone());
        let client = BaseConsumer::from_config_and_context(&config, self);
        let client = client.map_err(|cause| OpenError::config(&cause))?;
        client.subscribe(&[&topic]).map_err(|cause| OpenError::config(&cause))?;
        Ok(client)
    }

    fn work(&self, client: &Client, stop: &AtomicBool) -> Result<End, OpenError> {
        let (mut committed_at, mut asked_at, mut unheard) = (Instant::now(), Instant::now(), 0);
        while !stop.load(Ordering::Relaxed) {
            if let Some(Err(cause)) = client.poll(POLL) {
                self.bear(&cause)?;
            }
            self.begin(client);
            if committed_at.elapsed() >= COMMIT_EACH {
                committed_at = Instant::now();
                self.commit(client, CommitMode::Async);
            }
            if asked_at.elapsed() >= ASK_EACH {
                asked_at = Instant::now();
                let heard = client.fetch_metadata(Some(&self.source.topic), ASK_PATIENCE).is_ok();
                unheard = if heard { 0 } else { unheard + 1 };
                if unheard == UNHEARD {
                    tracing::warn!(group = self.source.group, "the cluster does not answer: joining anew");
                    return Ok(End::Unheard);
                }
            }
        }
        Ok(End::Stopped)
    }

    /// What does not pass by itself ends the membership.
    fn bear(&self, cause: &KafkaError) -> Result<(), OpenError> {
        let reason = self.ear.last_or(&cause.to_string());
        let fatal = matches!(cause, KafkaError::MessageConsumptionFatal(_));
        match cause.rdkafka_error_code() {
            Some(RDKafkaErrorCode::GroupAuthorizationFailed | RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Err(OpenError::Denied { what: format!("group {}", self.source.group), reason })
            }
            _ if fatal => Err(OpenError::Config(reason)),
            _ => Ok(()),
        }
    }

    /// Begins to deliver what was assigned.
    fn begin(&self, client: &Client) {
        let new = self.assigned().clone();
        if new.is_empty() {
            return;
        }
        match self.committed(client, &new) {
            Ok(committed) => {
                for partition in new {
                    self.begin_one(partition, committed_in(&committed, &self.source.topic, partition));
                }
            }
            Err(cause) => tracing::warn!(%cause, "cannot tell what the group has committed, asking again"),
        }
    }

    fn committed(&self, client: &Client, partitions: &BTreeSet<i32>) -> KafkaResult<TopicPartitionList> {
        let mut all = TopicPartitionList::new();
        for partition in partitions {
            all.add_partition(&self.source.topic, *partition);
        }
        let committed = client.committed_offsets(all, PATIENCE)?;
        committed.elements().iter().try_for_each(TopicPartitionListElem::error)?;
        Ok(committed)
    }

    fn begin_one(&self, partition: i32, committed: Option<Position>) {
        let topic: Arc<str> = self.source.topic.as_str().into();
        let bounds = match self.runtime.block_on(self.shared.bounds(&topic, partition)) {
            Ok(bounds) => bounds,
            Err(error) => {
                tracing::warn!(partition, %error, "cannot begin to deliver a partition, trying again");
                return;
            }
        };
        let from = committed.unwrap_or(bounds.oldest);
        let held = bounds.oldest <= from && from <= bounds.end;
        if !held {
            let (group, committed) = (&self.source.group, from.0);
            let (oldest, end) = (bounds.oldest.0, bounds.end.0);
            tracing::error!(
                %topic, partition, group, committed, oldest, end,
                "the log does not hold what the group has committed: events may be lost, beginning with the oldest"
            );
        }
        let from = if held { from } else { bounds.oldest };
        tracing::info!(%topic, partition, group = self.source.group, from = from.0, "delivering a partition");
        let running = (self.deliver)(partition, from);
        self.assigned().remove(&partition);
        self.running().insert(partition, running);
    }

    /// Commits what was acknowledged since the last time.
    fn commit(&self, client: &Client, mode: CommitMode) {
        let acknowledged = self.acknowledged(&mut self.running());
        self.commit_these(client, &acknowledged, mode);
    }

    fn acknowledged(&self, running: &mut BTreeMap<i32, Running>) -> TopicPartitionList {
        let mut all = TopicPartitionList::new();
        for (partition, running) in running {
            let acknowledged = running.progress.acknowledged();
            if running.committed != Some(acknowledged) {
                let offset = Offset::Offset(i64::try_from(acknowledged.0).unwrap_or(i64::MAX));
                let added = all.add_partition_offset(&self.source.topic, *partition, offset);
                running.committed = added.is_ok().then_some(acknowledged);
            }
        }
        all
    }

    fn commit_these(&self, client: &Client, these: &TopicPartitionList, mode: CommitMode) {
        if these.count() == 0 {
            return;
        }
        if let Err(cause) = client.commit(these, mode) {
            tracing::warn!(group = self.source.group, %cause, "not committed: what was taken may come again");
            self.forget_committed();
        }
    }

    /// Lets deliveries end, and commits how far they got where somebody hears of it.
    fn end(&self, client: &Client, mut these: BTreeMap<i32, Running>, commits: bool) {
        for running in these.values() {
            running.stop.send_replace(true);
        }
        let tasks = these.values_mut().map(|running| &mut running.task);
        for ended in self.runtime.block_on(join_all(tasks)) {
            if let Err(cause) = ended {
                tracing::error!(%cause, "a delivery did not end in order");
            }
        }
        if client.assignment_lost() {
            tracing::warn!(
                group = self.source.group,
                "the group went on without us: what was taken may come again"
            );
        } else if commits {
            let acknowledged = self.acknowledged(&mut these);
            self.commit_these(client, &acknowledged, CommitMode::Sync);
        }
    }

    fn forget_committed(&self) {
        for running in self.running().values_mut() {
            running.committed = None;
        }
    }

    fn assigned(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<i32, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.ear.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(error, reason);
    }
}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, client: &Client, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(revoked) = rebalance else { return };
        let mut these = BTreeMap::new();
        for partition in revoked.elements().iter().map(TopicPartitionListElem::partition) {
            self.assigned().remove(&partition);
            these.extend(self.running().remove_entry(&partition));
        }
        self.end(client, these, true);
    }

    fn post_rebalance(&self, client: &Client, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(assigned) = rebalance else { return };
        if let Err(cause) = client.pause(assigned) {
            tracing::debug!(%cause, "a member reads what it need not");
        }
        self.assigned().extend(assigned.elements().iter().map(TopicPartitionListElem::partition));
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(cause) = result {
            tracing::warn!(group = self.source.group, %cause, "not committed this time");
            self.forget_committed();
        }
    }
}
