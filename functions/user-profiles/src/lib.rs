//! `user-profiles`: answers what one shopper did, and erases a shopper.
//!
//! A profile's two lists are read from the store, and the numbers in them turned back into names. How a question and its
//! answer are spelled is in [`event`].

pub mod event;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event::{Answer, Ask, Question};
use event_log::Append;
use function::{Access, Call, Description, Failure, Function, Reply, Route};
use model::{Action, Clock, Collection, Cookie, Erasure, NameNumber, NameRef, PackedTag, TagKey, UserTag};
use store::{Names, ProfileStore, StoredTag};

/// Clocks of instances are within this of each other.
const CLOCK_SKEW: Duration = Duration::from_secs(2);
/// An erasure is answered after this, so that a tag that is sent after the answer counts as accepted after the erasure on
/// every clock.
const ERASURE_TIME: Duration = Duration::from_secs(4);
/// The expected answer that debug mode sends: 400 tags with long names.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// The function.
pub struct UserProfiles<S, N, L, C> {
    profiles: S,
    names: N,
    log: L,
    clock: C,
    source: String,
    erasures: AtomicU64,
}

/// The names behind the numbers of some tags.
type Spelled = HashMap<(Collection, NameNumber), String>;

impl<S: ProfileStore, N: Names, L: Append, C: Clock> UserProfiles<S, N, L, C> {
    /// Reads these profiles with these names; appends erasures to this log, under a source that is unique for each start.
    pub fn new((profiles, names): (S, N), log: L, clock: C, source: impl Into<String>) -> Self {
        Self { profiles, names, log, clock, source: source.into(), erasures: AtomicU64::new(0) }
    }

    /// What a shopper did.
    pub async fn ask(&self, question: Question) -> Result<Answer, Failure> {
        let newest = |action| self.newest(&question, action);
        let (views, buys) = tokio::try_join!(newest(Action::View), newest(Action::Buy))?;
        let names = self.names_of(views.iter().chain(&buys).map(|(_, tag)| tag)).await?;
        let spell = |action, tags: Vec<(StoredTag, PackedTag)>| -> Result<Vec<UserTag>, Failure> {
            tags.iter().map(|(stored, tag)| spell(&question.cookie, action, (stored, tag), &names)).collect()
        };
        Ok(Answer {
            views: spell(Action::View, views)?,
            buys: spell(Action::Buy, buys)?,
            cookie: question.cookie.clone(),
        })
    }

    /// Erases a shopper: what was accepted before the answer is gone for ever, what is sent after it is kept.
    pub async fn erase(&self, cookie: Cookie) -> Result<(), Failure> {
        let skew_ms = u64::try_from(CLOCK_SKEW.as_millis()).expect("two seconds");
        let erasure = Erasure { cookie, accepted_before_ms: self.clock.now_ms() + skew_ms };
        let id = self.erasures.fetch_add(1, Ordering::Relaxed).to_string();
        self.log
            .append(erasure.to_event(&self.source, &id))
            .await
            .map_err(|cause| Failure::not_now(&cause))?;
        tokio::time::sleep(ERASURE_TIME).await;
        Ok(())
    }

    async fn newest(
        &self,
        question: &Question,
        action: Action,
    ) -> Result<Vec<(StoredTag, PackedTag)>, Failure> {
        if question.limit == 0 {
            return Ok(Vec::new());
        }
        let stored = self
            .profiles
            .newest(&question.cookie, action, question.range, question.limit)
            .await
            .map_err(|cause| Failure::not_now(&cause))?;
        let unpack = |stored: StoredTag| match PackedTag::from_bytes(&stored.packed) {
            Ok(tag) => Ok((stored, tag)),
            Err(cause) => Err(Failure::not_now(&cause)),
        };
        stored.into_iter().map(unpack).collect()
    }

    async fn names_of(&self, tags: impl Iterator<Item = &PackedTag>) -> Result<Spelled, Failure> {
        let mut numbers: HashMap<Collection, HashSet<NameNumber>> = HashMap::new();
        for tag in tags {
            for (collection, name) in [
                (Collection::COUNTRY, &tag.country),
                (Collection::ORIGIN, &tag.origin),
                (Collection::BRAND, &tag.brand),
                (Collection::CATEGORY, &tag.category),
            ] {
                if let NameRef::Number(number) = name {
                    numbers.entry(collection).or_default().insert(*number);
                }
            }
        }
        let mut spelled = Spelled::new();
        for (collection, numbers) in numbers {
            let numbers: Vec<NameNumber> = numbers.into_iter().collect();
            let names =
                self.names.name(&collection, &numbers).await.map_err(|cause| Failure::not_now(&cause))?;
            let known = numbers.into_iter().zip(names).filter_map(|(number, name)| Some((number, name?)));
            spelled.extend(known.map(|(number, name)| ((collection.clone(), number), name)));
        }
        Ok(spelled)
    }
}

impl<S: ProfileStore, N: Names, L: Append, C: Clock> Function for UserProfiles<S, N, L, C> {
    fn describe(&self) -> Description {
        Description {
            name: "user-profiles",
            path: "/user_profiles",
            routes: const {
                &[
                    Route::public("POST", "/user_profiles/{cookie}"),
                    Route::audited("DELETE", "/user_profiles/{cookie}"),
                ]
            },
            events: &[event::QUESTION_TYPE],
            events_from: Access::Public,
            body_limit: BODY_LIMIT,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        match event::decode(&call)? {
            Ask::Profile(question) => Ok(event::encode(&self.ask(question).await?)),
            Ask::Erase(cookie) => {
                self.erase(cookie).await?;
                Ok(Reply::Done)
            }
        }
    }
}

/// A tag again from what its key and its packed bytes say. A number without a name is a names table that lags behind: not
/// now, rather than a wrong answer.
fn spell(
    cookie: &Cookie,
    action: Action,
    (stored, tag): (&StoredTag, &PackedTag),
    names: &Spelled,
) -> Result<UserTag, Failure> {
    let key = TagKey { cookie, action, instant: stored.instant };
    tag.to_tag(key, |collection, name| match name {
        NameRef::Spelled(name) => Some(name.clone()),
        NameRef::Number(number) => names.get(&(collection.clone(), *number)).cloned(),
    })
    .ok_or_else(|| Failure::unavailable("the name of a number is not known yet"))
}
