//! Group commit: tags that arrive while the log is busy share its next append.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloudevents::Event;
use cloudevents::event::ExtensionValue;
use event_log::{Append, Position};
use function::{Failure, Newest};
use model::{AcceptedTag, Batch, BatchId, Clock, ProductId};
use opentelemetry::metrics::Counter;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

/// How tags are gathered into batches.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// The least time from one batch to the next: what arrives meanwhile is the next. A tag after a pause waits for nothing.
    pub pace: Duration,
    /// How many appends may be under way at once.
    pub in_flight: usize,
    /// The most tags that wait for a batch; over it, tags are refused with 503. At 60,000 tags a second 4,096 are 70 ms.
    pub waiting: usize,
}

impl Batching {
    /// For a log on a disk of this machine. At 10,000 tags a second the pace saves a quarter of the processor's time, which
    /// commits of five tags each would take.
    pub const EMBEDDED: Self = Self { pace: Duration::from_millis(2), in_flight: 1, waiting: 4_096 };

    /// For Kafka: each event costs the broker and both workers, so a batch gathers longer. An acknowledgement takes some 20 ms
    /// now and then, so several batches are under way.
    pub const KAFKA: Self = Self { pace: Duration::from_millis(5), in_flight: 16, waiting: 8_192 };
}

/// The most tags in a batch: what is answered, retried and redelivered at once.
const MAX_TAGS: usize = 4_096;
/// A batch is closed when its tags reach this size, in bytes: far below what a log takes in one event.
const MAX_BYTES: usize = 256 * 1024;
/// What the JSON of a tag takes without its names.
const FIXED_BYTES: usize = 192;
/// The least time between two lines about batches that were not appended: in an outage there are hundreds a second.
const TELL_EACH: Duration = Duration::from_secs(1);
/// How long a tag may wait for its batch's turn, and again for the log: both within the client's 200 ms.
const PATIENCE: Duration = Duration::from_millis(90);

/// Where tags join the batch that is being gathered.
#[derive(Debug, Clone)]
pub struct Sender(mpsc::Sender<Waiting>);

#[derive(Debug)]
struct Waiting {
    accepted: AcceptedTag,
    span: Option<SpanContext>,
    answer: oneshot::Sender<Result<(), Failure>>,
}

struct Gathering<L, C> {
    queue: mpsc::Receiver<Waiting>,
    log: Arc<L>,
    clock: C,
    source: Arc<str>,
    sequence: u64,
    /// When the next batch may begin.
    next: Instant,
    batching: Batching,
    outcomes: Outcomes,
}

/// What became of batches.
#[derive(Clone)]
struct Outcomes {
    tags: Counter<u64>,
    batches: Counter<u64>,
    newest: Newest,
    failures: Arc<Mutex<Failures>>,
}

/// Batches that were not appended.
#[derive(Default)]
struct Failures {
    told: Option<Instant>,
    untold: u64,
}

/// The sending end, and the task that gathers and appends.
pub(crate) fn start<L: Append, C: Clock>(
    log: L,
    clock: C,
    source: &str,
    batching: Batching,
) -> (Sender, impl Future<Output = ()> + Send + use<L, C>) {
    let (sender, queue) = mpsc::channel(batching.waiting);
    let meter = opentelemetry::global::meter("user-tags");
    let counter = |name, help, unit| meter.u64_counter(name).with_description(help).with_unit(unit).build();
    let outcomes = Outcomes {
        tags: counter("allezon.tags.accepted", "Tags that are durable in the log.", "{tag}"),
        batches: counter("allezon.batches.accepted", "Batches that are durable in the log.", "{batch}"),
        newest: Newest::accepted(),
        failures: Arc::default(),
    };
    let source = source.into();
    let gathering = Gathering {
        queue,
        log: Arc::new(log),
        clock,
        source,
        sequence: 0,
        next: Instant::now(),
        batching,
        outcomes,
    };
    (Sender(sender), gathering.run())
}

impl Sender {
    /// Returns when the tag is durable, or with the reason why nobody can say so.
    pub async fn commit(&self, accepted: AcceptedTag) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        let span = opentelemetry::Context::map_current(|context| {
            context.has_active_span().then(|| context.span().span_context().clone())
        });
        self.0
            .try_send(Waiting { accepted, span, answer })
            .map_err(|_| Failure::unavailable("too many tags wait"))?;
        answered.await.unwrap_or_else(|_| Err(Failure::unavailable("shutting down")))
    }
}

impl<L: Append, C: Clock> Gathering<L, C> {
    async fn run(mut self) {
        let turns = Arc::new(Semaphore::new(self.batching.in_flight));
        while let Some(first) = self.queue.recv().await {
            match timeout(PATIENCE, Arc::clone(&turns).acquire_owned()).await {
                Ok(Ok(turn)) => {
                    let batch = self.gather(first).await;
                    self.append(batch, turn);
                }
                _ => self.shed(first),
            }
        }
        // Everything is answered once every turn is back.
        let _ = turns.acquire_many(u32::try_from(self.batching.in_flight).unwrap_or(u32::MAX)).await;
    }

    async fn gather(&mut self, first: Waiting) -> Vec<Waiting> {
        let mut bytes = size(&first);
        let mut batch = vec![first];
        let full = |batch: &Vec<Waiting>, bytes| batch.len() >= MAX_TAGS || bytes >= MAX_BYTES;
        sleep_until(self.next).await;
        self.next = Instant::now() + self.batching.pace;
        while !full(&batch, bytes) {
            let Ok(next) = self.queue.try_recv() else { break };
            bytes += size(&next);
            batch.push(next);
        }
        batch
    }

    fn append(&mut self, waiting: Vec<Waiting>, turn: OwnedSemaphorePermit) {
        let id = BatchId { source: Arc::clone(&self.source), sequence: self.sequence };
        self.sequence += 1;
        let spans = || waiting.iter().filter_map(|one| one.span.as_ref());
        let span = spans().find(|span| span.is_sampled()).or_else(|| spans().next()).cloned();
        let (tags, answers): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|one| (one.accepted, one.answer)).unzip();
        let batch = Batch { accepted_ms: self.clock.now_ms(), tags };
        let (log, outcomes) = (Arc::clone(&self.log), self.outcomes.clone());
        tokio::spawn(async move {
            let event = with_trace(batch.to_event(&id), span);
            let count = answers.len() as u64;
            outcomes.note(count, batch.accepted_ms, commit(&*log, event, answers).await);
            drop(turn);
        });
    }

    /// The log has been busy for too long: whoever waits may better try elsewhere. None of these tags is stored.
    fn shed(&mut self, first: Waiting) {
        let mut next = Some(first);
        while let Some(waiting) = next {
            let _ = waiting.answer.send(Err(Failure::unavailable("the log is busy")));
            next = self.queue.try_recv().ok();
        }
    }
}

impl Outcomes {
    fn note(&self, tags: u64, accepted_ms: u64, outcome: Result<Position, event_log::Error>) {
        match outcome {
            Ok(_) => {
                self.tags.add(tags, &[]);
                self.batches.add(1, &[]);
                self.newest.see(accepted_ms);
            }
            Err(cause) => self.failures.lock().expect("nothing panics under this lock").note(&cause),
        }
    }
}

impl Failures {
    fn note(&mut self, cause: &event_log::Error) {
        self.untold += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EACH) {
            tracing::warn!(error = %cause, batches = self.untold, "batches were not appended");
            *self = Self { told: Some(Instant::now()), untold: 0 };
        }
    }
}

/// Appends, and answers all who wait: with the log's word, or after our patience with none.
async fn commit<L: Append>(
    log: &L,
    event: Event,
    answers: Vec<oneshot::Sender<Result<(), Failure>>>,
) -> Result<Position, event_log::Error> {
    let mut append = std::pin::pin!(log.append(event));
    let (result, waiting) = match timeout(PATIENCE, &mut append).await {
        Ok(result) => (result, answers),
        Err(_) => {
            answer(answers, || Err(Failure::unavailable("the log is slow")));
            (append.await, Vec::new())
        }
    };
    match result {
        Ok(_) => answer(waiting, || Ok(())),
        Err(event_log::Error::TooLarge { .. }) => {
            answer(waiting, || {
                Err(Failure::refused(function::Refused::TooLarge, None, "too large for the log"))
            });
        }
        Err(_) => answer(waiting, || Err(Failure::unavailable("the log is unavailable"))),
    }
    result
}

fn answer(answers: Vec<oneshot::Sender<Result<(), Failure>>>, with: impl Fn() -> Result<(), Failure>) {
    for answer in answers {
        // Whoever went away does not need an answer.
        let _ = answer.send(with());
    }
}

/// About what a tag takes in a batch.
fn size(waiting: &Waiting) -> usize {
    let tag = &waiting.accepted.tag;
    let names = [&tag.cookie.0, &tag.country, &tag.origin, &tag.product.brand, &tag.product.category];
    let product_id = match &tag.product.product_id {
        ProductId::Integer(_) => 0,
        ProductId::LongInteger(id) | ProductId::Text(id) => id.len(),
    };
    FIXED_BYTES + product_id + names.into_iter().map(String::len).sum::<usize>()
}

/// The trace of the first tag whose trace is kept, or of the first, goes on with the batch, by CloudEvents' distributed tracing extension.
fn with_trace(mut event: Event, span: Option<SpanContext>) -> Event {
    if let Some(span) = span.filter(SpanContext::is_valid) {
        let flags = span.trace_flags().to_u8();
        let traceparent = format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id());
        event.set_extension("traceparent", ExtensionValue::String(traceparent));
    }
    event
}
