//! What holds for appending and reading.

use std::collections::BTreeMap;

use cloudevents::{Event, EventBuilder, EventBuilderV10};
use futures_util::future::join_all;
use futures_util::{FutureExt, join};

use super::{
    Fixture, NOT_LONG, PATIENCE, READ_BYTES, append_numbered, assert_nothing, assert_same, bytes, number_of,
    numbered, read,
};
use crate::{Append, Error, EventLog, Position};

fn with_data(content_type: &str, data: Vec<u8>) -> Event {
    let event = EventBuilderV10::new().id("1").source("/contract").ty("shop.allezon.contract");
    event.data(content_type, data).build().expect("all that an event needs")
}

fn with_everything() -> Event {
    EventBuilderV10::new()
        .id("batch/17?a=b")
        .source("/user-tags/0123-abc")
        .ty("shop.allezon.contract.v1")
        .subject("of all kinds")
        .time("2024-02-29T23:59:59.123456Z")
        .extension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .extension("partitionkey", "")
        .extension("sequence", 9_007_199_254_740_993_i64)
        .extension("flag", true)
        .data_with_schema(
            "application/json; charset=utf-8",
            "https://example.org/schema",
            b"{ \"a\" :1}".to_vec(),
        )
        .build()
        .expect("all that an event needs")
}

/// Attributes, extensions and data of any bytes come back as they were, up to the largest.
pub async fn gives_back_what_was_appended(fixture: &impl Fixture) {
    let log = fixture.open().await;
    let events = [
        with_everything(),
        with_data("application/octet-stream", (0..=255).collect()),
        with_data("text/plain", vec![0]),
        with_data("application/vnd.allezon.batch", b"\xff\xfe{\"not\": \"utf-8\"".repeat(5000)),
        with_data("application/json", b"not even JSON".to_vec()),
        with_data("application/octet-stream", vec![b'x'; fixture.max_data_bytes()]),
    ];
    for event in &events {
        log.append(event.clone()).await.expect("append");
    }
    for (recorded, appended) in read(&log, Position::default(), events.len()).await.iter().zip(&events) {
        assert_same(&recorded.event, appended);
        assert!(recorded.appended_ms > 0);
    }
}

/// Events come in the order of their appends, at the positions that append told.
pub async fn keeps_the_order(fixture: &impl Fixture) {
    let log = fixture.open().await;
    let positions = append_numbered(&log, 100).await;
    assert!(positions.is_sorted_by(|one, next| one < next), "positions do not grow");
    let events = read(&log, Position::default(), 100).await;
    for (number, (recorded, position)) in events.iter().zip(positions).enumerate() {
        assert_eq!(recorded.position, position);
        assert_eq!(number_of(&recorded.event), number);
    }
    assert!(events.is_sorted_by_key(|recorded| recorded.position));
}

/// Reading begins anywhere: at an event, behind one, at the end, beyond it.
pub async fn reads_from_anywhere(fixture: &impl Fixture) {
    let log = fixture.open().await;
    assert_nothing(&log, Position::default()).await;
    let positions = append_numbered(&log, 10).await;
    let events = read(&log, Position::default(), 10).await;
    for (number, recorded) in events.iter().enumerate() {
        assert_eq!(number_of(&read(&log, positions[number], 10 - number).await[0].event), number);
        let behind = Position(recorded.position.0 + 1);
        assert!(behind <= recorded.next);
        if let Some(following) = events.get(number + 1) {
            assert_eq!(read(&log, behind, 9 - number).await[0].position, following.position);
            assert_eq!(read(&log, recorded.next, 9 - number).await[0].position, following.position);
        }
    }
    let end = log.bounds().await.expect("bounds").end;
    assert_nothing(&log, end).await;
    assert_nothing(&log, Position(end.0 + 1)).await;
    assert_nothing(&log, Position(end.0 + 1_000_000)).await;
}

/// A read gives about as much as it was asked for, but always something.
pub async fn reads_in_pieces(fixture: &impl Fixture) {
    let log = fixture.open().await;
    let event = with_data("application/octet-stream", vec![7; 10_000]);
    for _ in 0..20 {
        log.append(event.clone()).await.expect("append");
    }
    let one = log.read(Position::default(), 1, PATIENCE).await.expect("read");
    assert_eq!(one.len(), 1);
    let (mut next, mut count) = (Position::default(), 0);
    while count < 20 {
        let some = log.read(next, 50_000, PATIENCE).await.expect("read");
        assert!((1..=10).contains(&some.len()), "{} events for 50,000 bytes", some.len());
        count += some.len();
        next = some.last().expect("at least one").next;
    }
    assert_nothing(&log, next).await;
}

/// A read that waits gets what comes meanwhile, and nothing if nothing comes.
pub async fn a_waiting_read_wakes_up(fixture: &impl Fixture) {
    let log = fixture.open().await;
    assert_nothing(&log, Position::default()).await;
    let append = async {
        tokio::time::sleep(NOT_LONG).await;
        log.append(numbered(1)).await.expect("append")
    };
    let (position, woken) = join!(append, log.read(Position::default(), READ_BYTES, PATIENCE));
    let woken = woken.expect("read");
    assert_eq!(woken.len(), 1);
    assert_eq!(woken[0].position, position);
}

/// The events stand within the bounds, and nothing stands outside of them.
pub async fn bounds_hold_the_events(fixture: &impl Fixture) {
    let log = fixture.open().await;
    let empty = log.bounds().await.expect("bounds");
    assert_eq!(empty.oldest, empty.end);
    assert_eq!(empty.oldest, Position::default(), "nothing was let go");
    let positions = append_numbered(&log, 3).await;
    let full = log.bounds().await.expect("bounds");
    assert_eq!(full.oldest, Position::default());
    assert!(full.end > positions[2]);
    assert_nothing(&log, full.end).await;
    assert_eq!(read(&log, full.oldest, 3).await[0].position, positions[0]);
    // What comes next stands at the end or behind it.
    assert!(log.append(numbered(3)).await.expect("append") >= full.end);
}

/// An event that is too large is refused for ever, and the log goes on.
pub async fn too_large_is_refused(fixture: &impl Fixture) {
    let log = fixture.open().await;
    log.append(numbered(0)).await.expect("append");
    let large = with_data("application/octet-stream", vec![1; 4 * fixture.max_data_bytes()]);
    for _ in 0..3 {
        match log.append(large.clone()).await {
            Err(Error::TooLarge { bytes: told }) => assert!(told >= bytes(&large).len()),
            other => panic!("an event that is too large: {other:?}"),
        }
    }
    log.append(numbered(1)).await.expect("append");
    let events = read(&log, Position::default(), 2).await;
    assert_eq!(number_of(&events[1].event), 1);
    assert_nothing(&log, events[1].next).await;
}

/// Many appends at once are all there, once each, where they were told to be.
pub async fn concurrent_appends_are_all_there(fixture: &impl Fixture) {
    const COUNT: usize = 1000;
    let log = fixture.open().await;
    let appends = (0..COUNT).map(|number| log.append(numbered(number)));
    let told: Vec<_> = join_all(appends).await.into_iter().map(|told| told.expect("append")).collect();
    let found: BTreeMap<_, _> = read(&log, Position::default(), COUNT)
        .await
        .iter()
        .map(|found| (number_of(&found.event), found.position))
        .collect();
    assert_eq!(found.len(), COUNT);
    for (number, position) in told.into_iter().enumerate() {
        assert_eq!(found[&number], position);
    }
}

/// Who appends may go away before the answer. The event is there or not, once at most; all else is as ever.
pub async fn abandoned_appends_harm_nobody(fixture: &impl Fixture) {
    let log = fixture.open().await;
    for number in (0..100).step_by(2) {
        let _ = log.append(numbered(number)).now_or_never();
        log.append(numbered(number + 1)).await.expect("append");
    }
    let end = log.bounds().await.expect("bounds").end;
    let (mut next, mut seen) = (Position::default(), vec![0; 100]);
    while next < end {
        for recorded in log.read(next, READ_BYTES, PATIENCE).await.expect("read") {
            seen[number_of(&recorded.event)] += 1;
            next = recorded.next;
        }
    }
    for (number, times) in seen.into_iter().enumerate() {
        assert!(times == 1 || times == 0 && number % 2 == 0, "event {number} is there {times} times");
    }
}

/// A log that is opened again holds what it held, and its positions go on.
pub async fn reopening_keeps_everything(fixture: &impl Fixture) {
    let mut before = Vec::new();
    for round in 0..4 {
        let log = fixture.open().await;
        let found: Vec<_> =
            read(&log, Position::default(), 25 * round).await.iter().map(|found| found.position).collect();
        assert_eq!(found, before);
        for number in 25 * round..25 * (round + 1) {
            before.push(log.append(numbered(number)).await.expect("append"));
        }
        assert!(before.is_sorted_by(|one, next| one < next), "a position was used twice");
        let events = read(&log, Position::default(), before.len()).await;
        assert!(events.iter().enumerate().all(|(number, recorded)| number_of(&recorded.event) == number));
        drop(log);
        // Opened and closed in vain.
        drop(fixture.open().await);
    }
}
