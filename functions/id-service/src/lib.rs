//! Gives strings small numbers, per collection: what makes a stored tag half as large.
//!
//! The rule stands on one port, [`store::Names`], and answers it to the outside (`/get_id`, `/get_ids`,
//! `/get_elements`). [`NameLog`] keeps that port's promise on an event log of its own, whatever log that is. What is
//! written and read as JSON is in [`event`]; [`backup`] makes a file of the log, and a log of that file. No sockets and no
//! status codes here: `runtime` has them.

pub mod backup;
pub mod event;
pub mod name_log;

use function::{Access, Call, Description, Failure, Function, Refused, Reply};
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
            events_from: Access::Public,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use cloudevents::{EventBuilder, EventBuilderV10};
    use function::{Refusal, Request};
    use http::{HeaderMap, Method};

    use super::*;
    use crate::name_log::{Plain, empty};

    type Service = IdService<NameLog<Arc<Plain>>>;

    async fn service() -> Service {
        IdService::new(NameLog::open(empty()).await.expect("the log is sound"))
    }

    async fn post(service: &Service, route: &'static str, body: &str) -> Result<Reply, Failure> {
        let call = Call::Http(Request {
            method: Method::POST,
            route,
            segment: String::new(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        });
        service.call(call).await
    }

    async fn check(service: &Service, route: &'static str, body: &str, expected: &str) {
        match post(service, route, body).await {
            Ok(Reply::Answer { json, .. }) => assert_eq!(json, expected, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }

    #[tokio::test]
    async fn answers_the_examples_of_the_contract() {
        let service = service().await;
        let nike = r#"{"collection_name": "brand", "element": "Nike", "create_missing": true}"#;
        check(&service, "/get_id", nike, r#"{"id":1}"#).await;
        let both = r#"{"collection_name": "brand", "elements": ["Nike", "Puma"], "create_missing": true}"#;
        check(&service, "/get_ids", both, r#"{"ids":[1,2]}"#).await;
        let two = r#"{"collection_name": "brand", "ids": [1, 7]}"#;
        check(&service, "/get_elements", two, r#"{"elements":["Nike",null]}"#).await;
    }

    #[tokio::test]
    async fn knows_what_is_unknown() {
        let service = service().await;
        let unknown = r#"{"collection_name": "brand", "element": "Nike", "create_missing": false}"#;
        match post(&service, "/get_id", unknown).await {
            Err(Failure::Refused(Refusal { kind, field, .. })) => {
                assert_eq!((kind, field.as_deref()), (Refused::Unknown, Some("element")));
            }
            other => panic!("{other:?}"),
        }
        let some = r#"{"collection_name": "brand", "elements": ["", "a", ""], "create_missing": true}"#;
        check(&service, "/get_ids", some, r#"{"ids":[1,2,1]}"#).await;
        let others = r#"{"collection_name": "brand", "elements": ["b", "a"], "create_missing": false}"#;
        check(&service, "/get_ids", others, r#"{"ids":[null,2]}"#).await;
        let ids = r#"{"collection_name": "brand", "ids": [0, 2, -1, 99999999999, 1, 3]}"#;
        check(&service, "/get_elements", ids, r#"{"elements":[null,"a",null,null,"",null]}"#).await;
        check(
            &service,
            "/get_ids",
            r#"{"collection_name": "x", "elements": [], "create_missing": true}"#,
            r#"{"ids":[]}"#,
        )
        .await;
    }

    #[tokio::test]
    async fn answers_events_with_events() {
        let service = service().await;
        let data = br#"{"collection_name":"brand","element":"Nike","create_missing":true}"#;
        let event = EventBuilderV10::new().id("1").source("/x").ty(event::ASKED[0]);
        let event = event.data("application/json", data.to_vec()).build().unwrap();
        for _ in 0..2 {
            let reply = service.call(Call::Event(Box::new(event.clone()))).await.unwrap();
            let expected =
                Reply::Answer { json: r#"{"id":1}"#.into(), event_type: "com.allezon.id-service.id" };
            assert_eq!(reply, expected, "also when it is delivered again");
        }
    }

    #[test]
    fn each_error_is_told_by_what_the_caller_can_do() {
        assert!(matches!(
            failure(Error::Full("brand".into())),
            Failure::Refused(Refusal { kind: Refused::Full, .. })
        ));
        for error in [
            Error::Newer("x".into()),
            Error::Damaged("x".into()),
            Error::Unavailable { reason: "x".into(), cause: None },
        ] {
            assert!(matches!(failure(error), Failure::Unavailable { .. }));
        }
    }
}
