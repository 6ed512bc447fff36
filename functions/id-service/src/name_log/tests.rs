//! What the names of a log must keep, over the embedded log.

use std::sync::Arc;
use std::time::Duration;

use cloudevents::{EventBuilder, EventBuilderV10};
use event_log::{Append, EventLog, Position};
use futures_util::future::join_all;
use model::{Collection, MAX_ELEMENT_BYTES, NameNumber};
use proptest::prelude::*;
use store::contract::names as contract;
use store::{Error, Names};
use tempfile::TempDir;

use super::record::{self, SeenNames};
use super::tables::{Limits, MAX_COLLECTION_BYTES};
use super::troubled::{Fate, Plain, TroubledLog, empty, open_log};
use super::{EVENT_TYPE, NameLog};

const BRAND: Collection = Collection::BRAND;

async fn open<L: EventLog>(log: L) -> NameLog<L> {
    NameLog::open(log).await.expect("the log is sound")
}

async fn number<L: EventLog>(names: &NameLog<L>, asked: &[&str]) -> Vec<Option<u32>> {
    values(names.number(&BRAND, asked).await.expect("numbers"))
}

async fn find<L: EventLog>(names: &NameLog<L>, asked: &[&str]) -> Vec<Option<u32>> {
    values(names.find(&BRAND, asked).await.expect("an answer"))
}

fn values(numbers: Vec<Option<NameNumber>>) -> Vec<Option<u32>> {
    numbers.into_iter().map(|number| number.map(NameNumber::value)).collect()
}

fn numbers(values: &[u32]) -> Vec<NameNumber> {
    values.iter().map(|value| NameNumber::new(*value).unwrap()).collect()
}

/// Every name of the log, in its order, repeats included: what all numbers must follow from.
async fn occurrences<L: EventLog>(log: &L) -> Vec<String> {
    let end = log.bounds().await.unwrap().end;
    let (mut next, mut names) = (Position::default(), Vec::new());
    while next < end {
        for recorded in log.read(next, 1 << 20, Duration::ZERO).await.unwrap() {
            next = recorded.next;
            names.extend(SeenNames::from_event(&recorded.event).unwrap().names);
        }
    }
    names
}

/// The naive rule: the rank of the first occurrence.
fn rank(occurrences: &[String], name: &str) -> Option<u32> {
    let mut firsts: Vec<&str> = Vec::new();
    for occurrence in occurrences {
        if !firsts.contains(&occurrence.as_str()) {
            firsts.push(occurrence);
        }
    }
    (1..).zip(firsts).find(|(_, first)| *first == name).map(|(rank, _)| rank)
}

async fn append(log: &Plain, names: &[&str]) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    for record in record::split(&BRAND, 0, names) {
        log.append(record.to_event()).await.unwrap();
    }
}

#[tokio::test]
async fn the_contract_is_kept() {
    contract::numbers_grow_by_one_in_each_collection(&open(empty()).await).await;
    contract::an_absence_does_not_last(&open(empty()).await).await;
    contract::what_is_too_long_has_no_number(&open(empty()).await).await;
    contract::any_text_is_a_name(&open(empty()).await).await;
    contract::calls_are_of_any_size(&open(empty()).await).await;
}

#[tokio::test]
async fn the_contract_is_kept_by_instances_on_one_log() {
    let log = empty();
    let instances = join_all((0..3).map(|_| open(Arc::clone(&log)))).await;
    let instances: Vec<_> = instances.into_iter().map(Arc::new).collect();
    contract::all_are_told_the_same(&instances).await;
    let log = empty();
    let (here, there) = (open(Arc::clone(&log)).await, open(log).await);
    contract::instances_know_of_each_other(&here, &there).await;
}

#[tokio::test]
async fn a_new_start_gives_the_same_numbers() {
    let directory = TempDir::new().unwrap();
    let names = open(open_log(directory.path())).await;
    contract::survives_reopening(names, async |names| {
        drop(names);
        open(open_log(directory.path())).await
    })
    .await;
}

#[tokio::test]
async fn what_is_too_long_is_not_appended() {
    let log = TroubledLog::around(empty());
    let names = open(Arc::clone(&log)).await;
    let longer = "x".repeat(MAX_ELEMENT_BYTES + 1);
    assert_eq!(number(&names, &[&longer]).await, [None]);
    assert_eq!(number(&names, &[&longer, "a"]).await, [None, Some(1)]);
    let collection = Collection::new("x".repeat(MAX_COLLECTION_BYTES + 1));
    assert_eq!(names.number(&collection, &["a"]).await.unwrap(), [None]);
    assert_eq!(log.appends(), 1);
}

#[tokio::test]
async fn a_known_name_is_answered_without_the_log() {
    let log = TroubledLog::around(empty());
    let names = open(Arc::clone(&log)).await;
    assert_eq!(number(&names, &["a", "b"]).await, [Some(1), Some(2)]);
    log.replace(&empty());
    assert_eq!(number(&names, &["b", "a"]).await, [Some(2), Some(1)]);
    assert_eq!(find(&names, &["b"]).await, [Some(2)]);
    assert_eq!(names.name(&BRAND, &numbers(&[1])).await.unwrap(), [Some("a".into())]);
    assert_eq!(log.appends(), 1);
}

#[tokio::test]
async fn a_record_that_is_there_twice_changes_nothing() {
    let log = empty();
    append(&log, &["a", "b"]).await;
    let names = open(Arc::clone(&log)).await;
    append(&log, &["a", "b"]).await;
    append(&log, &["b", "c", "c", "a"]).await;
    assert_eq!(number(&names, &["d", "c"]).await, [Some(4), Some(3)]);
    assert_eq!(find(&open(log).await, &["a", "b", "c", "d"]).await, [Some(1), Some(2), Some(3), Some(4)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_on_one_log_give_the_same_numbers() {
    let log = empty();
    let instances = join_all((0..4).map(|_| open(Arc::clone(&log)))).await;
    let instances: Vec<_> = instances.into_iter().map(Arc::new).collect();
    let askers = (0..64_u32).map(|asker| {
        let names = Arc::clone(&instances[asker as usize % 4]);
        tokio::spawn(async move {
            for step in 0..20 {
                // Every name is asked for at several instances, at about the same time.
                let asked = [format!("{}", step * 3 + asker % 3), format!("{}", step * 7 % 31)];
                let told = number(&names, &[&asked[0], &asked[1]]).await;
                assert_eq!(find(&names, &[&asked[0], &asked[1]]).await, told);
            }
        })
    });
    for asker in askers.collect::<Vec<_>>() {
        asker.await.unwrap();
    }
    let all = occurrences(&log).await;
    let late = open(Arc::clone(&log)).await;
    for name in (0..60).map(|name| name.to_string()) {
        let expected = [rank(&all, &name)];
        assert!(expected[0].is_some());
        for names in instances.iter().map(|names| &**names).chain([&late]) {
            assert_eq!(number(names, &[&name]).await, expected, "{name}");
        }
    }
    assert_eq!(find(&late, &["60"]).await, [None]);
}

#[tokio::test]
async fn a_thousand_askers_cost_few_appends() {
    let log = TroubledLog::around(empty());
    let names = open(Arc::clone(&log)).await;
    let asked: Vec<String> = (0..1_000).map(|n| format!("{}", n % 500)).collect();
    let shut = log.gate.write().await;
    let askers = join_all(asked.iter().map(|name| async { number(&names, &[name]).await }));
    let (told, ()) = futures_util::future::join(askers, async {
        while log.appends() == 0 {
            tokio::task::yield_now().await;
        }
        drop(shut);
    })
    .await;
    assert!(log.appends() <= 2, "the first flight, and the one that gathered meanwhile: {}", log.appends());
    let all = occurrences(&*log).await;
    assert_eq!(all.len(), 500, "each name is on the log once");
    for (name, told) in asked.iter().zip(told) {
        assert_eq!(told, [rank(&all, name)]);
    }
}

#[tokio::test]
async fn a_lost_answer_loses_no_number() {
    let log = TroubledLog::around(empty());
    let names = open(Arc::clone(&log)).await;
    assert_eq!(number(&names, &["a"]).await, [Some(1)]);
    log.decide(Fate::AnswerLost);
    let lost = names.number(&BRAND, &["b", "c"]).await;
    assert!(matches!(lost, Err(Error::Unavailable { .. })), "{lost:?}");
    log.decide(Fate::Answered);
    let restarted = open(Arc::clone(&log)).await;
    assert_eq!(number(&restarted, &["d", "c"]).await, [Some(4), Some(3)]);
    assert_eq!(number(&names, &["c", "d"]).await, [Some(3), Some(4)]);
    assert_eq!(log.appends(), 3, "what was on the log was not appended again");
}

#[tokio::test]
async fn all_on_a_flight_learn_that_it_failed() {
    let log = TroubledLog::around(empty());
    let names = open(Arc::clone(&log)).await;
    log.decide(Fate::Refused);
    let shut = log.gate.write().await;
    let askers = join_all((0..100).map(|_| names.number(&BRAND, &["a"])));
    let (told, ()) = futures_util::future::join(askers, async {
        while log.appends() == 0 {
            tokio::task::yield_now().await;
        }
        drop(shut);
    })
    .await;
    assert!(told.iter().all(|told| matches!(told, Err(Error::Unavailable { .. }))));
    assert!(log.appends() <= 2, "nobody tried again alone: {}", log.appends());
    log.decide(Fate::Answered);
    assert_eq!(number(&names, &["a"]).await, [Some(1)]);
}

#[tokio::test]
async fn an_asker_who_goes_away_holds_nobody_up() {
    let log = TroubledLog::around(empty());
    let names = open(Arc::clone(&log)).await;
    let shut = log.gate.write().await;
    {
        let asking = names.number(&BRAND, &["a"]);
        tokio::pin!(asking);
        while log.appends() == 0 {
            assert!(futures_util::poll!(&mut asking).is_pending());
            tokio::task::yield_now().await;
        }
    }
    drop(shut);
    assert_eq!(number(&names, &["b", "a"]).await.len(), 2);
    let all = occurrences(&*log).await;
    assert_eq!(number(&names, &["a", "b"]).await, [rank(&all, "a"), rank(&all, "b")]);
}

#[tokio::test]
async fn a_full_collection_takes_no_more() {
    let log = empty();
    let limits = Limits { elements: 3, collections: 1 };
    let names = NameLog::limited(Arc::clone(&log), limits).await.unwrap();
    assert_eq!(number(&names, &["a", "b"]).await, [Some(1), Some(2)]);
    let full = |told: Result<Vec<_>, Error>| matches!(told, Err(Error::Full(of)) if of == "brand");
    assert!(full(names.number(&BRAND, &["a", "c", "d"]).await));
    assert!(full(names.number(&BRAND, &["d"]).await));
    assert_eq!(number(&names, &["c", "a"]).await, [Some(3), Some(1)]);
    assert_eq!(find(&names, &["d"]).await, [None]);
    // What an instance with another opinion appends has no number at any.
    append(&log, &["e", "f"]).await;
    let others = NameLog::limited(log, limits).await.unwrap();
    for names in [&names, &others] {
        assert_eq!(find(names, &["c", "d", "e", "f"]).await, [Some(3), None, None, None]);
        assert_eq!(names.name(&BRAND, &numbers(&[4])).await.unwrap(), [None]);
    }
    assert!(names.number(&Collection::new("sizes"), &["a"]).await.is_ok());
    let beyond = others.number(&Collection::new("colours"), &["a"]).await;
    assert!(matches!(beyond, Err(Error::Full(_))), "{beyond:?}");
    assert!(others.number(&Collection::ORIGIN, &["a"]).await.is_ok());
}

#[tokio::test]
async fn a_log_that_is_another_one_is_refused_until_it_is_right_again() {
    let (right, shorter, different) = (empty(), empty(), empty());
    append(&right, &["a"]).await;
    append(&right, &["b"]).await;
    append(&shorter, &["a"]).await;
    for name in ["a", "x", "y"] {
        append(&different, &[name]).await;
    }
    for wrong in [shorter, different] {
        let log = TroubledLog::around(Arc::clone(&right));
        let names = open(Arc::clone(&log)).await;
        log.replace(&wrong);
        let refused = |told: Result<Vec<_>, Error>| matches!(told, Err(Error::Unavailable { .. }));
        assert!(refused(names.find(&BRAND, &["y"]).await));
        assert!(refused(names.find(&BRAND, &["a"]).await), "also what is in memory");
        assert!(refused(names.number(&BRAND, &["z"]).await));
        assert!(names.name(&BRAND, &numbers(&[1])).await.is_err());
        assert_eq!(log.appends(), 0);
        log.replace(&right);
        assert_eq!(find(&names, &["b", "a", "y"]).await, [Some(2), Some(1), None]);
    }
}

#[tokio::test]
async fn a_log_without_its_beginning_is_refused() {
    let log = empty();
    let late = record::split(&BRAND, 2, vec!["c".to_owned()]).remove(0);
    log.append(late.to_event()).await.unwrap();
    assert!(matches!(NameLog::open(log).await, Err(Error::Unavailable { .. })));

    let log = TroubledLog::around(empty());
    assert!(NameLog::open(Arc::clone(&log)).await.is_ok());
    number(&open(Arc::clone(&log)).await, &["a"]).await;
    log.trim();
    assert!(matches!(NameLog::open(log).await, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn nothing_is_guessed_behind_what_cannot_be_read() {
    let text = |version: u64| format!(r#"{{"version":{version},"collection":"brand"}}"#);
    for (version, is_newer) in [(2, true), (1, false)] {
        let log = empty();
        let names = open(Arc::clone(&log)).await;
        append(&log, &["a"]).await;
        let event = EventBuilderV10::new().id("1").source("/id-service").ty(EVENT_TYPE);
        log.append(event.data("application/json", text(version)).build().unwrap()).await.unwrap();
        append(&log, &["b"]).await;
        let expected = |told: Result<(), Error>| match told {
            Err(Error::Newer(_)) => is_newer,
            Err(Error::Damaged(_)) => !is_newer,
            _ => false,
        };
        assert!(expected(names.find(&BRAND, &["b"]).await.map(drop)));
        assert!(expected(names.number(&BRAND, &["b"]).await.map(drop)));
        assert_eq!(number(&names, &["a"]).await, [Some(1)]);
        assert!(expected(NameLog::open(log).await.map(drop)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn numbers_are_ranks_whoever_asks(
        steps in prop::collection::vec((0_usize..3, prop::collection::vec("[a-h]{0,2}", 0..4), any::<bool>()), 0..24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let log = empty();
            let mut instances = join_all((0..3).map(|_| open(Arc::clone(&log)))).await;
            let mut model: Vec<String> = Vec::new();
            for (instance, asked, create) in steps {
                let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
                if asked.is_empty() {
                    instances[instance] = open(Arc::clone(&log)).await;
                } else if create {
                    model.extend(asked.iter().map(|name| (*name).to_owned()));
                    let expected: Vec<_> = asked.iter().map(|name| rank(&model, name)).collect();
                    assert_eq!(number(&instances[instance], &asked).await, expected);
                } else {
                    let expected: Vec<_> = asked.iter().map(|name| rank(&model, name)).collect();
                    assert_eq!(find(&instances[instance], &asked).await, expected);
                }
            }
        });
    }
}
