//! What a backup and a restore must keep, over the embedded log.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use cloudevents::{EventBuilder, EventBuilderV10};
use event_log::{Append, Bounds, EventLog, Position, Recorded};
use model::{Collection, NameNumber};
use proptest::prelude::*;
use store::Names;

use super::{Error, Summary, backup, restore, verify};
use crate::name_log::{EVENT_TYPE, Fate, NameLog, Plain, TroubledLog, empty};

const STRANGE: [&str; 6] =
    ["", "\0\n\r\"\\", "\u{2028}\u{10ffff}", "\u{141}\u{f3}d\u{17a}", "{\"version\":1}", "a"];

async fn number(
    names: &NameLog<Arc<Plain>>,
    collection: &Collection,
    asked: &[&str],
) -> Vec<Option<NameNumber>> {
    names.number(collection, asked).await.expect("numbers")
}

/// A log of six records, some of which repeat names.
async fn some_names() -> Arc<Plain> {
    let log = empty();
    let names = NameLog::open(Arc::clone(&log)).await.unwrap();
    for collection in [Collection::BRAND, Collection::new("\u{17c}\n")] {
        number(&names, &collection, &["Nike"]).await;
        number(&names, &collection, &STRANGE).await;
    }
    let late = NameLog::open(Arc::clone(&log)).await.unwrap();
    number(&late, &Collection::BRAND, &["Puma", "Nike"]).await;
    // As after an append whose answer was lost.
    let last = records(&*log).await.pop().unwrap();
    log.append(last).await.unwrap();
    log
}

async fn records(log: &impl EventLog) -> Vec<cloudevents::Event> {
    let end = log.bounds().await.unwrap().end;
    let (mut next, mut records) = (Position::default(), Vec::new());
    while next < end {
        for recorded in log.read(next, 1 << 20, Duration::ZERO).await.unwrap() {
            next = recorded.next;
            records.push(recorded.event);
        }
    }
    records
}

/// A log that says it holds events, and gives none.
struct Silent(Arc<Plain>);

impl Append for Silent {
    async fn append(&self, event: cloudevents::Event) -> Result<Position, event_log::Error> {
        self.0.append(event).await
    }
}

impl EventLog for Silent {
    async fn read(&self, _: Position, _: usize, _: Duration) -> Result<Vec<Recorded>, event_log::Error> {
        Ok(Vec::new())
    }

    async fn bounds(&self) -> Result<Bounds, event_log::Error> {
        self.0.bounds().await
    }
}

#[tokio::test]
async fn a_log_that_gives_nothing_before_its_end_has_no_backup() {
    let refused = backup(&Silent(some_names().await), &mut Vec::new(), |_| {}).await;
    assert!(matches!(refused, Err(Error::Log(event_log::Error::Unavailable { .. }))), "{refused:?}");
}

async fn written(log: &impl EventLog) -> Vec<u8> {
    let mut out = Vec::new();
    backup(log, &mut out, |_| {}).await.expect("a backup");
    out
}

async fn restored(log: &impl EventLog, file: &[u8]) -> Result<Summary, Error> {
    restore(log, &mut Cursor::new(file), |_| {}).await
}

/// What this file leads to: an error, and nothing on the log.
async fn check_refused(file: &[u8], what: &str) -> Error {
    assert!(verify(&mut &*file).is_err(), "{what}");
    let log = TroubledLog::around(empty());
    let refused = restored(&log, file).await;
    assert_eq!(log.appends(), 0, "{what}");
    refused.expect_err(what)
}

#[tokio::test]
async fn a_restored_log_gives_the_same_numbers() {
    let (log, copy) = (some_names().await, empty());
    let file = written(&*log).await;
    let whole = Summary { records: 6, names: 16 };
    assert_eq!(verify(&mut &*file).unwrap(), whole);
    let mut told = Vec::new();
    let summary = restore(&*copy, &mut Cursor::new(&file), |summary| told.push(summary.records)).await;
    assert_eq!((summary.unwrap(), told), (whole, (1..=6).collect::<Vec<_>>()));

    let names = NameLog::open(Arc::clone(&log)).await.unwrap();
    let again = NameLog::open(Arc::clone(&copy)).await.unwrap();
    for collection in [Collection::BRAND, Collection::new("\u{17c}\n"), Collection::ORIGIN] {
        for asked in STRANGE.iter().chain(&["Nike", "Puma"]) {
            let expected = names.find(&collection, &[asked]).await.unwrap();
            assert_eq!(again.find(&collection, &[asked]).await.unwrap(), expected, "{collection} {asked}");
        }
    }
    let next = ["Adidas"];
    let both =
        [number(&names, &Collection::BRAND, &next).await, number(&again, &Collection::BRAND, &next).await];
    assert_eq!(both[0], both[1], "and counting goes on at the same place");
    assert_eq!(written(&*copy).await, written(&*log).await, "a backup of the copy is the same");
}

#[tokio::test]
async fn a_backup_is_json_a_line() {
    let file = String::from_utf8(written(&*some_names().await).await).unwrap();
    let lines: Vec<serde_json::Value> =
        file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(lines[0]["specversion"], "1.0");
    assert_eq!(lines[0]["type"], EVENT_TYPE);
    assert_eq!(lines[0]["data"]["names"], serde_json::json!(["Nike"]));
    assert_eq!(
        (&lines[6]["version"], &lines[6]["records"], &lines[6]["names"]),
        (&1.into(), &6.into(), &16.into())
    );
}

#[tokio::test]
async fn a_log_without_names_has_a_backup_too() {
    let file = written(&*empty()).await;
    let copy = empty();
    assert_eq!(restored(&*copy, &file).await.unwrap(), Summary::default());
    assert_eq!(records(&*copy).await, []);
}

#[tokio::test]
async fn a_file_with_a_part_missing_is_refused() {
    let file = written(&*some_names().await).await;
    for length in 0..file.len() {
        assert!(verify(&mut &file[..length]).is_err(), "{length} of {} bytes", file.len());
    }
    for length in [0, 1, file.len() / 2, file.len() - 1] {
        let refused = check_refused(&file[..length], "cut").await;
        assert!(refused.to_string().contains("a part is missing"), "{refused}");
    }
    let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
    for line in 0..lines.len() {
        let without = [&lines[..line], &lines[line + 1..]].concat().concat();
        check_refused(&without, "a line is gone").await;
        let twice = [&lines[..=line], &lines[line..]].concat().concat();
        check_refused(&twice, "a line is there twice").await;
        // The last record is there twice; all others differ.
        let mut other = lines.clone();
        other.swap(line, (line + 2) % lines.len());
        check_refused(&other.concat(), "lines have changed places").await;
    }
}

#[tokio::test]
async fn a_file_that_was_changed_is_refused() {
    let file = written(&*some_names().await).await;
    for index in 0..file.len() {
        for bit in [1, 0x20, 0x80] {
            let mut changed = file.clone();
            changed[index] ^= bit;
            assert!(verify(&mut &*changed).is_err(), "byte {index}, bit {bit}");
        }
    }
    let mut changed = file.clone();
    changed[file.len() / 2] ^= 1;
    check_refused(&changed, "changed").await;
    check_refused(&[&file[..], b"\n"].concat(), "longer").await;
    check_refused(&vec![b'x'; 5 << 20], "no line").await;
    let newer =
        String::from_utf8(file).unwrap().replace(r#"{"version":1,"records""#, r#"{"version":2,"records""#);
    assert!(check_refused(newer.as_bytes(), "newer").await.to_string().contains("format version 2"));
}

#[tokio::test]
async fn a_restore_that_was_interrupted_goes_on() {
    let file = written(&*some_names().await).await;
    for fate in [Fate::Refused, Fate::AnswerLost] {
        for records in 0..6 {
            let log = TroubledLog::around(empty());
            if records == 0 {
                log.decide(fate);
            }
            let interrupt = |summary: Summary| {
                if summary.records == records {
                    log.decide(fate);
                }
            };
            let interrupted = restore(&log, &mut Cursor::new(&file), interrupt).await;
            assert!(matches!(interrupted, Err(Error::Log(_))), "{interrupted:?}");
            log.decide(Fate::Answered);
            restored(&log, &file).await.unwrap();
            assert_eq!(written(&log).await, file);
            let appends = log.appends();
            restored(&log, &file).await.unwrap();
            assert_eq!(log.appends(), appends, "it was all there");
        }
    }
}

#[tokio::test]
async fn a_record_that_a_restore_left_twice_does_no_harm() {
    let log = some_names().await;
    let file = written(&*log).await;
    let copy = TroubledLog::around(empty());
    for record in &records(&*log).await[..3] {
        for _ in 0..3 {
            copy.append(record.clone()).await.unwrap();
        }
    }
    restored(&copy, &file).await.unwrap();
    assert_eq!(copy.appends(), 9 + 3);
}

#[tokio::test]
async fn a_log_of_other_names_is_left_as_it_is() {
    let log = some_names().await;
    let file = written(&*log).await;
    let all = records(&*log).await;
    let foreign = |names: &'static [&'static str]| async move {
        let log = empty();
        number(&NameLog::open(Arc::clone(&log)).await.unwrap(), &Collection::BRAND, names).await;
        log
    };
    let longer = some_names().await;
    number(&NameLog::open(Arc::clone(&longer)).await.unwrap(), &Collection::BRAND, &["beyond"]).await;
    let disordered = empty();
    for index in [1, 0] {
        disordered.append(all[index].clone()).await.unwrap();
    }
    for other in [foreign(&["Adidas"]).await, foreign(&["Nike", "Adidas"]).await, longer, disordered] {
        let other = TroubledLog::around(other);
        let refused = restored(&other, &file).await;
        assert!(matches!(refused, Err(Error::Another { .. })), "{refused:?}");
        assert_eq!(other.appends(), 0);
    }
}

#[tokio::test]
async fn what_cannot_be_read_has_no_backup() {
    let log = some_names().await;
    let event = EventBuilderV10::new().id("1").source("/id-service").ty(EVENT_TYPE);
    let newer = r#"{"version":2,"collection":"brand"}"#;
    let position = log.append(event.data("application/json", newer).build().unwrap()).await.unwrap();
    let refused = backup(&*log, &mut Vec::new(), |_| {}).await;
    assert!(
        matches!(refused, Err(Error::Unreadable { position: at, .. }) if at == position.0),
        "{refused:?}"
    );

    let trimmed = TroubledLog::around(some_names().await);
    trimmed.trim();
    assert!(matches!(backup(&trimmed, &mut Vec::new(), |_| {}).await, Err(Error::Unreadable { .. })));
    let full = &mut [0_u8; 100][..];
    assert!(matches!(backup(&*some_names().await, &mut &mut *full, |_| {}).await, Err(Error::File(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_names_come_back(calls in prop::collection::vec(prop::collection::vec(".{0,8}", 1..5), 0..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (log, copy) = (empty(), empty());
            let names = NameLog::open(Arc::clone(&log)).await.unwrap();
            for call in &calls {
                let asked: Vec<&str> = call.iter().map(String::as_str).collect();
                number(&names, &Collection::new(call[0].as_str()), &asked).await;
            }
            let file = written(&*log).await;
            restored(&*copy, &file).await.unwrap();
            assert_eq!(records(&*copy).await, records(&*log).await);
        });
    }

    #[test]
    fn no_file_makes_it_panic(file in any::<Vec<u8>>()) {
        prop_assert!(verify(&mut &*file).is_err());
    }
}
