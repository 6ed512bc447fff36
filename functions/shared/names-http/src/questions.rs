//! The two kinds of question, each asked in as many requests as its size needs.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Collection, NameNumber};

use crate::client::Client;
use crate::desk::Question;
use crate::known::Known;
use crate::trouble::Trouble;
use crate::wire;

/// Which numbers do these names have?
#[derive(Debug)]
pub(crate) struct Numbered {
    /// Whether a name without one gets one.
    pub(crate) create_missing: bool,
    pub(crate) client: Arc<Client>,
    pub(crate) known: Arc<Known>,
}

/// Which names do these numbers have?
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) client: Arc<Client>,
    pub(crate) known: Arc<Known>,
}

impl Numbered {
    /// One request. Where the collection is full, the names that have a number are told all the same.
    async fn request(
        &self,
        collection: &Collection,
        names: &[Box<str>],
    ) -> Result<Vec<Option<NameNumber>>, Trouble> {
        let created = self.post(collection, names, self.create_missing).await;
        match created {
            Err(Trouble::Full) => self.post(collection, names, false).await,
            Ok(numbers) if self.create_missing && numbers.contains(&None) => {
                Err(Trouble::Down("the id-service gave a name no number".to_owned()))
            }
            told => told,
        }
    }

    async fn post(
        &self,
        collection: &Collection,
        names: &[Box<str>],
        create_missing: bool,
    ) -> Result<Vec<Option<NameNumber>>, Trouble> {
        let text = self.client.post(wire::GET_IDS, wire::ids(collection, names, create_missing)).await?;
        wire::numbers(&text, names.len())
    }
}

impl Question for Numbered {
    type Asked = Box<str>;
    type Told = NameNumber;

    async fn ask(
        &self,
        collection: &Collection,
        asked: Vec<Box<str>>,
    ) -> Result<HashMap<Box<str>, NameNumber>, Trouble> {
        let (known, unknown) = split(asked, |name| self.known.number(collection, name));
        let mut told = known;
        for names in wire::calls(&unknown) {
            let numbers = self.request(collection, names).await?;
            for (name, number) in names.iter().zip(numbers) {
                if let Some(number) = number {
                    self.known.insert_number(collection, name.clone(), number);
                    told.insert(name.clone(), number);
                }
            }
        }
        Ok(told)
    }
}

impl Question for Named {
    type Asked = NameNumber;
    type Told = Arc<str>;

    async fn ask(
        &self,
        collection: &Collection,
        asked: Vec<NameNumber>,
    ) -> Result<HashMap<NameNumber, Arc<str>>, Trouble> {
        let (known, unknown) = split(asked, |number| self.known.name(collection, *number));
        let mut told = known;
        for numbers in unknown.chunks(wire::MAX_IDS) {
            let text = self.client.post(wire::GET_ELEMENTS, wire::elements(collection, numbers)).await?;
            for (number, name) in numbers.iter().zip(wire::names(&text, numbers.len())?) {
                if let Some(name) = name.map(Arc::<str>::from) {
                    self.known.insert_name(collection, *number, Arc::clone(&name));
                    told.insert(*number, name);
                }
            }
        }
        Ok(told)
    }
}

/// What was found since it was asked, and the rest.
fn split<K: Eq + std::hash::Hash, V>(
    asked: Vec<K>,
    known: impl Fn(&K) -> Option<V>,
) -> (HashMap<K, V>, Vec<K>) {
    let (mut found, mut unknown) = (HashMap::new(), Vec::new());
    for asked in asked {
        match known(&asked) {
            Some(value) => drop(found.insert(asked, value)),
            None => unknown.push(asked),
        }
    }
    (found, unknown)
}
