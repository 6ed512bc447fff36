//! Delivers a topic to a sink, as a member of a consumer group.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use event_log::EventLog;
use event_log::delivery::{Limits, Progress, Sink, deliver};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::kafka::Shared;
use crate::lag::{Lag, Lags};
use crate::membership::{self, End, Membership, Running};
use crate::{Kafka, KafkaLog, OpenError};

/// How often the end of a partition is looked at, for the lag.
const LOOK_EACH: Duration = Duration::from_secs(5);

/// How long it may take to leave a group. Without brokers it does not end.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

/// What is consumed, and on whose behalf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The topic.
    pub topic: String,
    /// The consumer group: its members share the partitions, and it remembers how far they are.
    pub group: String,
}

/// A member of the group, on a thread of its own.
struct Member {
    stop: Arc<AtomicBool>,
    /// Drained and committed.
    ended: oneshot::Receiver<Result<End, OpenError>>,
    /// Closed when the group is left.
    left: oneshot::Receiver<()>,
}

impl Kafka {
    /// Joins the group and delivers to `sink` what its partitions hold, from where the group has committed or else from the
    /// beginning, at least once each, until `shutdown`. [`event_log::delivery`] tells how; each partition has `limits` of
    /// its own. Only what is acknowledged is committed: each second, when a partition goes to another member, and at the
    /// end, after the drain.
    ///
    /// An error at the start, or when the brokers refuse us; a cluster that is away for a while is waited for.
    pub async fn consume<S: Sink>(
        &self,
        source: Source,
        sink: Arc<S>,
        limits: Limits,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), OpenError> {
        self.shared.find(&source.topic).await?;
        let lags = Lags::show(&source);
        let consuming = Consuming { shared: Arc::clone(&self.shared), source, sink, limits, lags };
        let consuming = Arc::new(consuming);
        let mut shutdown = pin!(shutdown);
        loop {
            let generation = self.shared.certificates.generation();
            let mut member = Arc::clone(&consuming).join()?;
            tokio::select! {
                () = &mut shutdown => return member.leave().await,
                () = self.shared.outdated(generation) => member.leave().await?,
                ended = &mut member.ended => drop(ended.unwrap_or_else(|_| Err(panicked()))?),
            }
        }
    }
}

/// All that a delivery needs.
struct Consuming<S> {
    shared: Arc<Shared>,
    source: Source,
    sink: Arc<S>,
    limits: Limits,
    lags: Arc<Lags>,
}

impl<S: Sink> Consuming<S> {
    fn join(self: Arc<Self>) -> Result<Member, OpenError> {
        let (shared, source) = (Arc::clone(&self.shared), self.source.clone());
        let deliver = Box::new(move |partition, from| self.deliver(partition, from));
        let membership = Membership::new(shared, source, Handle::current(), deliver);
        let consumer = membership.join()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (end, ended) = oneshot::channel();
        let (leave, left) = oneshot::channel();
        let stopped = Arc::clone(&stop);
        thread::Builder::new()
            .name("kafka-group".to_owned())
            .spawn(move || {
                // Nobody waits for one that was abandoned: librdkafka may take minutes to let a deaf one go, or longer.
                let _ = end.send(membership::run(&consumer, &stopped));
                drop(consumer);
                let _ = leave.send(());
            })
            .map_err(|cause| OpenError::Config(cause.to_string()))?;
        Ok(Member { stop, ended, left })
    }

    fn deliver(&self, partition: i32, from: event_log::Position) -> Running {
        let log = Arc::new(KafkaLog::new(Arc::clone(&self.shared), &self.source.topic, partition));
        let progress = Arc::new(Progress::new(self.source.group.as_str(), from));
        let lag = Lag::new(Arc::clone(&progress));
        self.lags.all().insert(partition, lag.clone());
        let (stop, mut stopped) = watch::channel(false);
        let shutdown = async move { drop(stopped.wait_for(|stop| *stop).await) };
        let (sink, limits) = (Arc::clone(&self.sink), self.limits.clone());
        let delivering = deliver(Arc::clone(&log), sink, limits, Arc::clone(&progress), shutdown);
        let lags = Arc::clone(&self.lags);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = delivering => {}
                () = look(&log, &lag) => {}
            }
            lags.all().remove(&partition);
        });
        Running { progress, stop, task, committed: None }
    }
}

/// Looks where the log ends, without an end.
async fn look(log: &KafkaLog, lag: &Lag) {
    let mut ticks = interval(LOOK_EACH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match log.bounds().await {
            Ok(bounds) => lag.ends_at(bounds.end),
            Err(error) => tracing::debug!(%error, "the lag is not known"),
        }
    }
}

impl Member {
    /// Lets what is under way end, commits, and gives the partitions to others.
    async fn leave(mut self) -> Result<(), OpenError> {
        self.stop.store(true, Ordering::Relaxed);
        (&mut self.ended).await.unwrap_or_else(|_| Err(panicked()))?;
        if timeout(LEAVE_PATIENCE, &mut self.left).await.is_err() {
            tracing::warn!("the group was not left in time: its other members wait for us a little");
        }
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn panicked() -> OpenError {
    OpenError::Config("the member of the consumer group has panicked".to_owned())
}
