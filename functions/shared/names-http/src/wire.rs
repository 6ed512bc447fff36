//! The contract's JSON, as the id-service reads and writes it; requests and answers of a bounded size.

use bytes::Bytes;
use model::{Collection, NameNumber};
use serde::{Deserialize, Serialize};

use crate::trouble::Trouble;

/// Numbers of names, given to the missing ones or not.
pub(crate) const GET_IDS: &str = "/get_ids";
/// Names of numbers.
pub(crate) const GET_ELEMENTS: &str = "/get_elements";
/// The contract: the most elements in a call.
const MAX_ELEMENTS: usize = 10_000;
/// The most bytes of elements in a call, as JSON: a tenth of what the id-service takes, so that one request stays within
/// its time; 40,000 names of usual length.
const MAX_ELEMENTS_BYTES: usize = 1 << 20;
/// The most ids in a call: even names at their longest, each byte escaped, fit into [`MAX_ANSWER_BYTES`] then.
pub(crate) const MAX_IDS: usize = 1_000;
/// The longest answer that is read.
pub(crate) const MAX_ANSWER_BYTES: usize = 8 << 20;

#[derive(Serialize)]
struct GetIds<'a> {
    collection_name: &'a str,
    elements: &'a [Box<str>],
    create_missing: bool,
}

#[derive(Serialize)]
struct GetElements<'a> {
    collection_name: &'a str,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Ids {
    ids: Vec<Option<u32>>,
}

#[derive(Deserialize)]
struct Elements {
    elements: Vec<Option<String>>,
}

/// Names in parts that fit into a call each, in their order.
pub(crate) fn calls(names: &[Box<str>]) -> Vec<&[Box<str>]> {
    let mut calls = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, name) in names.iter().enumerate() {
        let name_bytes = json_bytes(name);
        if index - start == MAX_ELEMENTS || (index > start && bytes + name_bytes > MAX_ELEMENTS_BYTES) {
            calls.push(&names[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += name_bytes;
    }
    calls.push(&names[start..]);
    calls.retain(|call| !call.is_empty());
    calls
}

/// Asks for the numbers of names.
pub(crate) fn ids(collection: &Collection, elements: &[Box<str>], create_missing: bool) -> Bytes {
    json(&GetIds { collection_name: collection.as_str(), elements, create_missing })
}

/// Asks for the names of numbers.
pub(crate) fn elements(collection: &Collection, numbers: &[NameNumber]) -> Bytes {
    let ids = numbers.iter().map(|number| number.value()).collect();
    json(&GetElements { collection_name: collection.as_str(), ids })
}

/// The numbers that are told, one for each name asked. Different names never have the same number, so an answer in which
/// they do is none.
pub(crate) fn numbers(text: &[u8], asked: usize) -> Result<Vec<Option<NameNumber>>, Trouble> {
    let Ids { ids } = parse(text)?;
    count(ids.len(), asked)?;
    let number = |id: Option<u32>| id.map(|id| NameNumber::new(id).ok_or(id)).transpose();
    let numbers: Vec<_> = ids
        .into_iter()
        .map(number)
        .collect::<Result<_, _>>()
        .map_err(|id| no_answer(&format!("{id} is no number of a name")))?;
    let mut sorted: Vec<NameNumber> = numbers.iter().copied().flatten().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(no_answer(&format!("two names have the number {}", pair[0].value()))),
        None => Ok(numbers),
    }
}

/// The names that are told, one for each number asked.
pub(crate) fn names(text: &[u8], asked: usize) -> Result<Vec<Option<String>>, Trouble> {
    let Elements { elements } = parse(text)?;
    count(elements.len(), asked)?;
    Ok(elements)
}

/// What is no answer, whoever sent it: it says nothing about any name.
fn no_answer(reason: &str) -> Trouble {
    Trouble::Down(format!("what the id-service sent is no answer: {reason}"))
}

fn count(told: usize, asked: usize) -> Result<(), Trouble> {
    if told == asked { Ok(()) } else { Err(no_answer(&format!("it tells {told} where {asked} were asked"))) }
}

fn parse<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, Trouble> {
    serde_json::from_slice(text).map_err(|error| no_answer(&error.to_string()))
}

fn json(question: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(question).expect("strings and numbers are JSON"))
}

/// At most so many bytes does JSON take for a name: six for what it may have to write as `\u0000`, and two quotes and a
/// comma around it.
fn json_bytes(name: &str) -> usize {
    let escaped = name.bytes().filter(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).count();
    name.len() + 5 * escaped + 3
}

#[cfg(test)]
mod tests {
    use model::MAX_ELEMENT_BYTES;

    use super::*;

    #[test]
    fn calls_hold_everything_in_order_and_within_the_limits() {
        let long = "\0".repeat(MAX_ELEMENT_BYTES);
        for (count, name) in [(0, ""), (1, ""), (MAX_ELEMENTS, "a"), (MAX_ELEMENTS + 1, "a"), (500, &*long)] {
            let names: Vec<Box<str>> = vec![name.into(); count];
            let calls = calls(&names);
            assert_eq!(calls.concat(), names);
            for call in calls {
                assert!((1..=MAX_ELEMENTS).contains(&call.len()));
                assert!(ids(&Collection::BRAND, call, true).len() < MAX_ELEMENTS_BYTES + 100);
            }
        }
    }

    #[test]
    fn the_longest_answer_is_read() {
        let longest = vec![Some("\0".repeat(MAX_ELEMENT_BYTES)); MAX_IDS];
        assert!(serde_json::to_vec(&longest).unwrap().len() + 100 < MAX_ANSWER_BYTES);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let values = |told: Result<Vec<Option<NameNumber>>, _>| {
            told.map(|told| told.into_iter().map(|number| number.map(NameNumber::value)).collect::<Vec<_>>())
        };
        assert_eq!(values(numbers(br#"{"ids":[2,null,1,null]}"#, 4)), Ok(vec![Some(2), None, Some(1), None]));
        for wrong in [
            r#"{"ids":[1]}"#,
            r#"{"ids":[1,2,3]}"#,
            r#"{"ids":[1,1]}"#,
            r#"{"ids":[0,1]}"#,
            r#"{"ids":[1,16777217]}"#,
            r#"{"ids":[1,-1]}"#,
            r#"{"ids":["1",2]}"#,
            r#"{"elements":["a","b"]}"#,
            "[1,2]",
            "",
        ] {
            assert!(matches!(numbers(wrong.as_bytes(), 2), Err(Trouble::Down(_))), "{wrong}");
        }
        assert_eq!(names(br#"{"elements":["a",null]}"#, 2), Ok(vec![Some("a".into()), None]));
        for wrong in [r#"{"elements":["a"]}"#, r#"{"elements":["a",1]}"#, "null"] {
            assert!(matches!(names(wrong.as_bytes(), 2), Err(Trouble::Down(_))), "{wrong}");
        }
    }
}
