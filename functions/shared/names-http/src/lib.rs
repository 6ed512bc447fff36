//! The port to names over HTTP: numbers and names, asked of the id-service in its batch form.
//!
//! [`HttpNames`] keeps the promise of [`Names`] for functions that run apart from the id-service. What was found is kept in
//! memory, since it never changes; an absence never is. No rule of naming here, and nothing that gives a number.
//!
//! | file | what |
//! |---|---|
//! | `options.rs` | the command line |
//! | `known.rs` | what was found, within a bound |
//! | `desk.rs` | gathers what is asked while a request is under way |
//! | `questions.rs`, `wire.rs` | what is asked and told, in requests of a bounded size |
//! | `client.rs`, `circuit.rs` | one request; not asking a service that has just failed |

mod circuit;
mod client;
mod desk;
mod known;
mod options;
mod questions;
mod trouble;
mod wire;

use std::sync::Arc;

use model::{Collection, MAX_ELEMENT_BYTES, NameNumber};
use store::{Error, Names};

use client::Client;
use desk::Desk;
use known::Known;
use questions::{Named, Numbered};
use trouble::Trouble;

pub use options::{ConfigError, NamesOptions};

/// The names of the id-service at an address.
///
/// Those who ask the same at once share requests. A request that is under way is finished when nobody waits for it any
/// more, so that who asks again finds its answer in memory.
///
/// Beside what [`Names`] promises: after a request has failed, questions are answered [`Error::Unavailable`] at once for
/// half a second, and then as long as one of them that tries has no answer. A name in a collection whose own name is over
/// [`MAX_ELEMENT_BYTES`] has no number.
#[derive(Debug)]
pub struct HttpNames {
    client: Arc<Client>,
    known: Arc<Known>,
    /// One desk for each of the three calls of the port.
    numbers: Arc<Desk<Numbered>>,
    found: Arc<Desk<Numbered>>,
    names: Arc<Desk<Named>>,
}

impl HttpNames {
    /// Asks nothing yet.
    pub fn new(options: &NamesOptions) -> Result<Self, ConfigError> {
        let client = Arc::new(Client::new(options)?);
        let known = Arc::new(Known::new(options.names_cache_bytes));
        let numbered = |create_missing| {
            Desk::new(Numbered { create_missing, client: Arc::clone(&client), known: Arc::clone(&known) })
        };
        Ok(Self {
            numbers: numbered(true),
            found: numbered(false),
            names: Desk::new(Named { client: Arc::clone(&client), known: Arc::clone(&known) }),
            client,
            known,
        })
    }

    /// Returns when the id-service has answered one question, which gives no name a number.
    pub async fn ready(&self) -> Result<(), Error> {
        let collection = Collection::BRAND;
        let question = wire::ids(&collection, &[], false);
        let text = self.client.post_now(wire::GET_IDS, question).await;
        text.and_then(|text| wire::numbers(&text, 0)).map(drop).map_err(|trouble| trouble.of(&collection))
    }

    /// What is known of these names, and then what the desk is told of the others that could have a number.
    async fn ask(
        &self,
        desk: &Arc<Desk<Numbered>>,
        collection: &Collection,
        names: &[&str],
    ) -> Result<Vec<Option<NameNumber>>, Error> {
        let mut numbers: Vec<_> = names.iter().map(|name| self.known.number(collection, name)).collect();
        let missing = |(name, number): (&&str, &Option<_>)| {
            (number.is_none() && is_legal(collection, name)).then(|| Box::from(*name))
        };
        let missing: Vec<Box<str>> = names.iter().zip(&numbers).filter_map(missing).collect();
        if !missing.is_empty() {
            let told = desk.ask(collection, missing).await.map_err(|trouble| trouble.of(collection))?;
            fill(&mut numbers, names, |name| told.get(*name).copied());
        }
        Ok(numbers)
    }
}

impl Names for HttpNames {
    async fn number(
        &self,
        collection: &Collection,
        names: &[&str],
    ) -> Result<Vec<Option<NameNumber>>, Error> {
        let numbers = self.ask(&self.numbers, collection, names).await?;
        // On a request of many, only those whose names found no room are refused.
        let is_left_out =
            |(name, number): (&&str, &Option<_>)| number.is_none() && is_legal(collection, name);
        if names.iter().zip(&numbers).any(is_left_out) {
            return Err(Trouble::Full.of(collection));
        }
        Ok(numbers)
    }

    async fn find(&self, collection: &Collection, names: &[&str]) -> Result<Vec<Option<NameNumber>>, Error> {
        self.ask(&self.found, collection, names).await
    }

    async fn name(
        &self,
        collection: &Collection,
        numbers: &[NameNumber],
    ) -> Result<Vec<Option<String>>, Error> {
        if !is_legal(collection, "") {
            return Ok(vec![None; numbers.len()]);
        }
        let mut names: Vec<_> = numbers.iter().map(|number| self.known.name(collection, *number)).collect();
        let missing =
            numbers.iter().zip(&names).filter_map(|(number, name)| name.is_none().then_some(*number));
        let missing: Vec<NameNumber> = missing.collect();
        if !missing.is_empty() {
            let told = self.names.ask(collection, missing).await.map_err(|trouble| trouble.of(collection))?;
            fill(&mut names, numbers, |number| told.get(number).cloned());
        }
        Ok(names.into_iter().map(|name| name.map(|name| name.to_string())).collect())
    }
}

/// Whether this name could have a number in this collection, whose own name is held to the same length.
fn is_legal(collection: &Collection, name: &str) -> bool {
    name.len() <= MAX_ELEMENT_BYTES && collection.as_str().len() <= MAX_ELEMENT_BYTES
}

/// Puts in what was told of those that are still missing.
fn fill<K, V>(found: &mut [Option<V>], asked: &[K], told: impl Fn(&K) -> Option<V>) {
    for (found, asked) in found.iter_mut().zip(asked).filter(|(found, _)| found.is_none()) {
        *found = told(asked);
    }
}
