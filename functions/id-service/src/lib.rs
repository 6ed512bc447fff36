//! Gives strings small numbers, per collection: what makes a stored tag half as large.
//!
//! The rule stands on one port, [`store::Names`], and answers it to the outside (`/get_id`, `/get_ids`,
//! `/get_elements`). [`NameLog`] keeps that port's promise on an event log of its own, whatever log that is. What is
//! written and read as JSON is in [`event`]. No sockets and no status codes here: `runtime` has them.

pub mod event;
pub mod name_log;

use function::{Call, Description, Failure, Function, Refused, Reply};
use model::{Collection, NameNumber};
use store::{Error, Names};

use event::{Answer, Question};

pub use name_log::NameLog;

/// The function.
#[derive(Debug)]
pub struct IdService<N> {
    names: N,
}

impl<N: Names> IdService<N> {
    /// Over these names.
    pub const fn new(names: N) -> Self {
        Self { names }
    }

    async fn answer(&self, question: Question<'_>) -> Result<Answer, Failure> {
        match question {
            Question::Id { collection, element, create_missing } => {
                let numbers = self.numbers(&collection, &[&*element], create_missing).await?;
                let number = numbers.first().copied().flatten();
                let unknown = || {
                    let reason = format!("has no id in the collection {collection}");
                    Failure::refused(Refused::Unknown, Some("element".into()), reason)
                };
                number.map(Answer::Id).ok_or_else(unknown)
            }
            Question::Ids { collection, elements, create_missing } => {
                let elements: Vec<&str> = elements.iter().map(|element| &**element).collect();
                self.numbers(&collection, &elements, create_missing).await.map(Answer::Ids)
            }
            Question::Elements { collection, ids } => {
                self.elements(&collection, &ids).await.map(Answer::Elements)
            }
        }
    }

    async fn numbers(
        &self,
        collection: &Collection,
        elements: &[&str],
        create_missing: bool,
    ) -> Result<Vec<Option<u32>>, Failure> {
        let numbers = if create_missing {
            self.names.number(collection, elements).await
        } else {
            self.names.find(collection, elements).await
        };
        let numbers = numbers.map_err(failure)?;
        Ok(numbers.into_iter().map(|number| number.map(NameNumber::value)).collect())
    }

    async fn elements(
        &self,
        collection: &Collection,
        ids: &[Option<NameNumber>],
    ) -> Result<Vec<Option<String>>, Failure> {
        let possible: Vec<NameNumber> = ids.iter().copied().flatten().collect();
        let mut names = self.names.name(collection, &possible).await.map_err(failure)?.into_iter();
        Ok(ids.iter().map(|id| id.and_then(|_| names.next().flatten())).collect())
    }
}

impl<N: Names> Function for IdService<N> {
    fn describe(&self) -> Description {
        Description {
            name: "id-service",
            path: "/id_service",
            routes: &event::ROUTES,
            events: &event::ASKED,
            body_limit: event::MAX_BODY_BYTES,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let text = event::text(&call);
        let question = Question::decode(&call, &text)?;
        Ok(self.answer(question).await?.encode())
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Full(_) => {
            Failure::refused(Refused::Full, Some("collection_name".into()), "takes no more elements")
        }
        error => Failure::not_now(&error),
    }
}
