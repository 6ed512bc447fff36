//! Is an answered profile right?

use std::borrow::Cow;

use serde::Deserialize;

use super::ledger::Candidate;
use crate::questions::profile::ProfileQuestion;
use crate::stream::{Action, Stream, TagJson};

/// The right answers to one question: of each list the tags that may or must be there, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The views.
    pub views: Vec<Candidate>,
    /// The buys.
    pub buys: Vec<Candidate>,
}

/// The answer, with the fields that the contract names and no others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileJson<'a> {
    #[serde(borrow)]
    cookie: Cow<'a, str>,
    #[serde(borrow)]
    views: Vec<TagJson<'a>>,
    #[serde(borrow)]
    buys: Vec<TagJson<'a>>,
}

/// A right answer's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// Both lists were empty.
    pub is_empty: bool,
}

impl Expected {
    /// Compares an answer. The error says what is wrong with it.
    pub fn check(&self, stream: &Stream, question: &ProfileQuestion, body: &[u8]) -> Result<Right, String> {
        let answer: ProfileJson<'_> =
            serde_json::from_slice(body).map_err(|error| format!("not a profile: {error}"))?;
        let cookie = question.cookie_text(stream);
        if answer.cookie != cookie {
            return Err(format!("cookie is {:?}, not {cookie:?}", answer.cookie));
        }
        let limit = question.effective_limit();
        check_list(stream, &self.views, limit, &answer.views).map_err(|reason| format!("views: {reason}"))?;
        check_list(stream, &self.buys, limit, &answer.buys).map_err(|reason| format!("buys: {reason}"))?;
        Ok(Right { is_empty: answer.views.is_empty() && answer.buys.is_empty() })
    }

    /// The answer if no doubtful tag was stored, as JSON.
    pub fn to_json(&self, stream: &Stream, question: &ProfileQuestion) -> String {
        let list = |candidates: &[Candidate]| {
            let mut text = String::new();
            let certain = candidates.iter().filter(|candidate| candidate.certain);
            for candidate in certain.take(question.effective_limit()) {
                if !text.is_empty() {
                    text.push(',');
                }
                stream.push_json(&mut text, &stream.tag(candidate.number));
            }
            text
        };
        let (views, buys) = (list(&self.views), list(&self.buys));
        format!(r#"{{"cookie":"{}","views":[{views}],"buys":[{buys}]}}"#, question.cookie_text(stream))
    }

    /// How many tags may be there or not.
    pub fn doubtful(&self) -> usize {
        [&self.views, &self.buys].into_iter().flatten().filter(|candidate| !candidate.certain).count()
    }
}

/// A list is right when leaving out some of the doubtful candidates, and cutting at the limit, gives it. All tags differ,
/// so walking down once and leaving out only what does not match finds out.
fn check_list(
    stream: &Stream,
    candidates: &[Candidate],
    limit: usize,
    list: &[TagJson<'_>],
) -> Result<(), String> {
    if list.len() > limit {
        return Err(format!("{} tags, above the limit {limit}", list.len()));
    }
    let mut matched = 0;
    for candidate in candidates {
        if matched == limit {
            break;
        }
        let tag = stream.tag(candidate.number);
        if list.get(matched).is_some_and(|answered| stream.is_same(&tag, answered)) {
            matched += 1;
        } else if candidate.certain {
            let mut text = String::new();
            stream.push_json(&mut text, &tag);
            return Err(format!("at index {matched} must be {text}"));
        }
    }
    match list.get(matched) {
        None => Ok(()),
        Some(extra) => Err(format!("at index {matched} is a tag too many, of {}", extra.time)),
    }
}

/// The actions in the order of an answer's lists.
pub const LISTS: [Action; 2] = [Action::View, Action::Buy];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stream::Shape;

    fn parts() -> (Stream, ProfileQuestion) {
        let stream = Stream::new(Shape { cookies: 1, buys: 0, ..Shape::default() }, 1);
        let question = ProfileQuestion::whole(&stream, 0, 100);
        (stream, question)
    }

    fn body(stream: &Stream, question: &ProfileQuestion, numbers: &[u32]) -> String {
        let views = numbers.iter().map(|&number| Candidate { number, certain: true }).collect();
        Expected { views, buys: Vec::new() }.to_json(stream, question)
    }

    #[test]
    fn null_missing_and_unknown_fields_are_wrong() {
        let (stream, question) = parts();
        let expected = Expected { views: Vec::new(), buys: Vec::new() };
        let right = body(&stream, &question, &[]);
        assert_eq!(expected.check(&stream, &question, right.as_bytes()), Ok(Right { is_empty: true }));
        for wrong in [
            right.replace("[]", "null"),
            right.replace(r#","buys":[]"#, ""),
            right.replace("{", r#"{"x":1,"#),
        ] {
            assert!(expected.check(&stream, &question, wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// Against trying every subset of the doubtful tags.
        #[test]
        fn a_list_is_right_when_some_subset_gives_it(
            certain in prop::collection::vec(any::<bool>(), 0..8), limit in 0_u32..8,
            answered in prop::collection::vec(0_u32..8, 0..8), from_model in any::<bool>(), mask: u32,
        ) {
            let (stream, question) = parts();
            let question = ProfileQuestion { limit: Some(limit), ..question };
            let views: Vec<Candidate> = certain.iter().enumerate()
                .map(|(at, &certain)| Candidate { number: 7 - u32::try_from(at).unwrap(), certain }).collect();
            let subset = |mask: u32| -> Vec<u32> {
                views.iter().enumerate().filter(|(at, candidate)| candidate.certain || mask >> at & 1 == 1)
                    .map(|(_, candidate)| candidate.number).take(limit as usize).collect()
            };
            // Half of the cases are right ones, which would else be rare.
            let answered = if from_model { subset(mask) } else { answered };
            let is_right = (0..1 << views.len()).any(|mask| subset(mask) == answered);
            let expected = Expected { views: views.clone(), buys: Vec::new() };
            let unlimited = ProfileQuestion { limit: None, ..question.clone() };
            let verdict = expected.check(&stream, &question, body(&stream, &unlimited, &answered).as_bytes());
            prop_assert_eq!(verdict.is_ok(), is_right, "{:?}", verdict);
        }
    }
}
