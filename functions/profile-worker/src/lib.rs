//! `profile-worker`: puts the tags of each batch into the profiles.
//!
//! A put is idempotent and commutes, so the rule needs no order and no memory: an event may come twice, late, or to two
//! workers at once. An erasure is an event on the same log and commutes with the puts.

pub mod event;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use function::{Access, Call, Description, Failure, Function, Newest, Reply};
use model::{Batch, BatchId, Collection, NameNumber, NameRef, OwnIdentity, PackedTag, TopicEvent, UserTag};
use opentelemetry::metrics::Counter;
use store::{Entry, Names, ProfileStore};
use tokio::time::timeout;

/// The longest event in bytes: a batch of tags with the longest names there are.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// How long a batch waits for the numbers of its names; then they are spelled out, which costs space and no answer.
const NAMING_PATIENCE: Duration = Duration::from_millis(100);
/// The collections whose names profiles hold by number.
const NUMBERED: [Collection; 4] =
    [Collection::COUNTRY, Collection::ORIGIN, Collection::BRAND, Collection::CATEGORY];

/// The function.
pub struct ProfileWorker<S, N> {
    profiles: S,
    names: N,
    applied: Counter<u64>,
    newest: Newest,
}

/// For each of [`NUMBERED`], the numbers that its names have.
type Numbers<'a> = [HashMap<&'a str, NameNumber>; NUMBERED.len()];

impl<S: ProfileStore, N: Names> ProfileWorker<S, N> {
    /// Puts into these profiles, with the numbers of these names.
    pub fn new(profiles: S, names: N) -> Self {
        let applied = opentelemetry::global::meter("profile-worker")
            .u64_counter("allezon.profile.tags.applied")
            .with_description("Tags put into profiles, repeats included.")
            .with_unit("{tag}")
            .build();
        Self { profiles, names, applied, newest: Newest::visible("profile-worker") }
    }

    /// Puts every tag of a batch.
    pub async fn apply(&self, id: &BatchId, batch: &Batch) -> Result<(), Failure> {
        let numbers = self.numbers(batch).await;
        let hash = id.tag_hashes();
        let entries = batch.tags.iter().enumerate().map(|(index, accepted)| {
            let identity = accepted.identity.map_or_else(|| hash(index), OwnIdentity::short);
            entry(&accepted.tag, identity, batch.accepted_ms, &numbers)
        });
        self.profiles.put(entries.collect()).await.map_err(|cause| Failure::not_now(&cause))?;
        self.applied.add(batch.tags.len() as u64, &[]);
        self.newest.see(batch.accepted_ms);
        Ok(())
    }

    /// The numbers of a batch's names, as far as they can be had in time.
    async fn numbers<'a>(&self, batch: &'a Batch) -> Numbers<'a> {
        let mut numbers = Numbers::default();
        for (place, collection) in NUMBERED.iter().enumerate() {
            let names: HashSet<&str> =
                batch.tags.iter().map(|accepted| names_of(&accepted.tag)[place]).collect();
            let names: Vec<&str> = names.into_iter().collect();
            match timeout(NAMING_PATIENCE, self.names.number(collection, &names)).await {
                Ok(Ok(found)) => {
                    numbers[place] =
                        names.into_iter().zip(found).filter_map(|(name, n)| Some((name, n?))).collect();
                }
                Ok(Err(cause)) => tracing::debug!(error = %cause, %collection, "names are spelled out"),
                Err(_) => tracing::debug!(%collection, "numbers come too late, names are spelled out"),
            }
        }
        numbers
    }
}

impl<S: ProfileStore, N: Names> Function for ProfileWorker<S, N> {
    fn describe(&self) -> Description {
        Description {
            name: "profile-worker",
            path: "/profile_worker",
            routes: &[],
            events: &[],
            events_from: Access::Public,
            body_limit: BODY_LIMIT,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        match event::decode(&call)? {
            TopicEvent::Accepted(id, batch) => self.apply(&id, &batch).await?,
            TopicEvent::Erased(erasure) => {
                self.profiles
                    .erase(&erasure.cookie, erasure.accepted_before_ms)
                    .await
                    .map_err(|cause| Failure::not_now(&cause))?;
            }
        }
        Ok(Reply::Done)
    }
}

/// The names of a tag, in the order of [`NUMBERED`].
fn names_of(tag: &UserTag) -> [&str; NUMBERED.len()] {
    [&tag.country, &tag.origin, &tag.product.brand, &tag.product.category]
}

fn entry(tag: &UserTag, identity: u64, accepted_ms: u64, numbers: &Numbers<'_>) -> Entry {
    let packed = PackedTag::new(accepted_ms, tag, |collection, name| {
        let place = NUMBERED.iter().position(|numbered| numbered == collection);
        match place.and_then(|place| numbers[place].get(name)) {
            Some(&number) => NameRef::Number(number),
            None => NameRef::Spelled(name.to_owned()),
        }
    });
    Entry {
        cookie: tag.cookie.clone(),
        action: tag.action,
        instant: tag.time.instant(),
        identity,
        accepted_ms,
        packed: packed.to_bytes(),
    }
}
