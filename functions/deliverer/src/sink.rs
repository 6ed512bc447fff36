//! The sink that posts events to a function.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error as StdError;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use cloudevents::{AttributesReader, Event};
use event_log::delivery::{Rejection, Sink};
use event_log::{Append, Error, Recorded};
use http::Uri;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::dead_letter::dead_letter;
use crate::options::{ConfigError, SinkOptions};
use crate::request::request;
use crate::verdict::{Refusal, Verdict};

/// Servers of ours close a connection that was idle for 120 s; who sends must be the one that closes.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// The most events in trouble that are counted: more than can be under way. Some stay behind when another consumer takes
/// over their partition. When there are so many, counting begins anew, which costs some attempts and loses nothing.
const MAX_TROUBLED: usize = 10_000;

/// Posts events to one address, and gives up on those that it does not take.
///
/// What it answers 2xx is done. 404, 408, 409, 429, 5xx and no answer in time bring an event back, so many times; any other
/// answer sends it to the dead letters at once, with the attributes that KafkaSource gives a dead letter.
#[derive(Debug)]
pub struct HttpSink<D> {
    http: Client<HttpConnector, Full<Bytes>>,
    address: Uri,
    /// The address, as it was configured.
    destination: String,
    timeout: Duration,
    /// None: an event is never given up.
    retries: Option<u32>,
    /// Several partitions share the sink, and its connections.
    permits: Semaphore,
    hasher: RandomState,
    troubled: Mutex<HashMap<u64, Troubled>>,
    dead_letters: D,
}

/// An event that was not taken.
#[derive(Debug, Default)]
struct Troubled {
    attempts: u32,
    /// The last answer.
    refusal: Refusal,
}

impl<D: Append> HttpSink<D> {
    /// Connects when there is something to post.
    pub fn new(options: &SinkOptions, dead_letters: D) -> Result<Self, ConfigError> {
        let in_flight = options.in_flight.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            http: http(in_flight, Duration::from_millis(options.timeout_ms)),
            address: options.address()?,
            destination: options.sink.clone(),
            timeout: Duration::from_millis(options.timeout_ms),
            retries: (options.retries > 0).then_some(options.retries),
            permits: Semaphore::new(in_flight),
            hasher: RandomState::new(),
            troubled: Mutex::default(),
            dead_letters,
        })
    }

    async fn post(&self, event: Event) -> Verdict {
        let _permit = self.permits.acquire().await.expect("never closed");
        let exchange = async {
            match self.http.request(request(event, &self.address)).await {
                Ok(response) => Verdict::of(response).await,
                Err(error) => Verdict::unanswered(format!("no answer: {}", chain(&error))),
            }
        };
        timeout(self.timeout, exchange).await.unwrap_or_else(|_| {
            Verdict::unanswered(format!("no answer within {} ms", self.timeout.as_millis()))
        })
    }

    /// Notes one more attempt that failed, and says whether it was the last one.
    fn note(&self, key: u64, refusal: Refusal) -> Rejection {
        let mut troubled = self.troubled();
        if troubled.len() >= MAX_TROUBLED {
            troubled.clear();
        }
        let Troubled { attempts, refusal } = match troubled.entry(key) {
            Entry::Occupied(entry) => {
                let troubled = entry.into_mut();
                troubled.refusal = refusal;
                troubled
            }
            Entry::Vacant(entry) => entry.insert(Troubled { attempts: 0, refusal }),
        };
        *attempts = attempts.saturating_add(1);
        match self.retries {
            Some(retries) if *attempts > retries => {
                Rejection::Never(format!("given up after {attempts} attempts: {}", refusal.reason))
            }
            _ => Rejection::Later(refusal.reason.clone()),
        }
    }

    /// Which event it is. Partitions are logs of their own, so the position alone does not say it.
    fn key(&self, recorded: &Recorded) -> u64 {
        let Recorded { position, event, .. } = recorded;
        self.hasher.hash_one((position, event.source().as_str(), event.id()))
    }

    fn troubled(&self) -> MutexGuard<'_, HashMap<u64, Troubled>> {
        self.troubled.lock().expect("nothing panics under this lock")
    }
}

impl<D: Append> Sink for HttpSink<D> {
    async fn deliver(&self, recorded: Recorded) -> Result<(), Rejection> {
        let key = self.key(&recorded);
        match self.post(recorded.event).await {
            Verdict::Done => {
                self.troubled().remove(&key);
                Ok(())
            }
            Verdict::Later(refusal) => Err(self.note(key, refusal)),
            Verdict::Never(refusal) => {
                let reason = refusal.reason.clone();
                self.note(key, refusal);
                Err(Rejection::Never(reason))
            }
        }
    }

    async fn bury(&self, recorded: Recorded, reason: String) -> Result<(), Error> {
        let key = self.key(&recorded);
        let known = self.troubled().get(&key).map(|troubled| troubled.refusal.clone());
        let refusal = known.unwrap_or_else(|| Refusal { data: Bytes::from(reason), ..Refusal::default() });
        self.dead_letters.append(dead_letter(recorded.event, &self.destination, &refusal)).await?;
        self.troubled().remove(&key);
        Ok(())
    }
}

fn http(connections: usize, connect_time: Duration) -> Client<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect_time));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(connections)
        .build(connector)
}

/// An error and its causes in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&dyn StdError| (*cause).source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}
