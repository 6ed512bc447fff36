//! A log that is slow or unavailable, workers that are behind, clients that go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use function::{Call, Function};
use model::clock::SetClock;
use user_tags::{Batching, UserTags};

use crate::shop::{AT_ONCE, NOW_MS, Shop, State, end, post, settle, tag_text};

/// The contract: whoever asks waits so long.
const CLIENT_PATIENCE: Duration = Duration::from_millis(200);
/// How long a test waits for a log that goes on by itself; it tries again after some 50 ms.
const MENDING_TRIES: usize = 2_000;

fn tag_call(price: i32) -> Call {
    post(tag_text(price))
}

async fn until_done(shop: &Shop, price: i32) {
    for _ in 0..MENDING_TRIES {
        if shop.call(tag_call(price)).await == "done" {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the log does not go on");
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_log() {
    let shop = Shop::open(AT_ONCE);
    assert_eq!(shop.call(tag_call(1)).await, "done");
    for round in 0..2 {
        shop.disk.set(State::Broken);
        shop.check((0..20).map(|_| tag_call(2)), ("unavailable: the log is unavailable", 20)).await;
        shop.disk.set(State::Well);
        until_done(&shop, 3).await;
        assert_eq!(shop.call(tag_call(4)).await, "done");
        let prices = shop.prices().await;
        let count = |price| prices.iter().filter(|&&found| found == price).count();
        assert_eq!((count(1), count(3), count(4)), (1, round + 1, round + 1));
        assert!(count(2) <= 20 * (round + 1), "each once at most");
        shop.numbers_are_unique().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_log() {
    let shop = Shop::open(AT_ONCE);
    shop.disk.set(State::Stuck);
    let in_the_log = shop.begin(tag_call(1)).await;
    let waiting = [shop.begin(tag_call(2)).await, shop.begin(tag_call(2)).await];
    assert!(!in_the_log.is_finished());
    shop.pass(CLIENT_PATIENCE).await;
    assert_eq!(end(in_the_log).await, "unavailable: the log is slow");
    for call in waiting {
        assert_eq!(end(call).await, "unavailable: the log is busy");
    }
    let later = shop.begin(tag_call(3)).await;
    shop.pass(CLIENT_PATIENCE).await;
    assert_eq!(end(later).await, "unavailable: the log is busy");
    shop.disk.set(State::Well);
    until_done(&shop, 4).await;
    // What was in the log's hands is there, what waited for its turn was never given to it.
    assert_eq!(shop.prices().await, [1, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_slow_but_in_time() {
    let shop = Shop::open(AT_ONCE);
    shop.disk.set(State::Stuck);
    let first = shop.begin(tag_call(1)).await;
    let second = shop.begin(tag_call(2)).await;
    shop.pass(Duration::from_millis(50)).await;
    assert!(!first.is_finished() && !second.is_finished());
    shop.disk.set(State::Well);
    assert_eq!((end(first).await, end(second).await), ("done".into(), "done".into()));
    assert_eq!(shop.prices().await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait() {
    let shop = Shop::open(Batching { waiting: 3, ..AT_ONCE });
    let answers = shop.call_at_once((0..10).map(tag_call)).await;
    assert_eq!(answers[..3], ["done"; 3]);
    assert_eq!(answers[3..], ["unavailable: too many tags wait"; 7]);
    assert_eq!(shop.prices().await, [0, 1, 2]);

    // While the log is busy: one in its hands, one taken from the queue, three in it.
    shop.disk.set(State::Stuck);
    let mut waiting = Vec::new();
    for price in 3..8 {
        waiting.push(shop.begin(tag_call(price)).await);
    }
    assert_eq!(shop.call(tag_call(8)).await, "unavailable: too many tags wait");
    assert!(waiting.iter().all(|call| !call.is_finished()));
    shop.disk.set(State::Well);
    for call in waiting {
        assert_eq!(end(call).await, "done");
    }
    assert_eq!(shop.prices().await, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test(start_paused = true)]
async fn workers_that_are_behind() {
    let shop = Shop::open(AT_ONCE);
    let behind = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&behind);
    let (function, gathering) =
        UserTags::new(Arc::clone(&shop.log), SetClock::at(NOW_MS), "/user-tags/b", AT_ONCE);
    tokio::spawn(gathering);
    let function = function.unless(Arc::new(move || flag.load(Ordering::Relaxed)));
    let told = async |call| function.call(call).await.map_err(|failure| failure.to_string());
    assert_eq!(told(tag_call(1)).await, Err("unavailable: the workers are behind".into()));
    let refused = told(post("{}")).await.expect_err("it can never be taken");
    assert!(refused.starts_with("refused"), "{refused}");
    behind.store(false, Ordering::Relaxed);
    assert!(told(tag_call(2)).await.is_ok());
    assert_eq!(shop.prices().await, [2]);
}

#[tokio::test(start_paused = true)]
async fn clients_that_go_away() {
    let shop = Shop::open(AT_ONCE);
    assert_eq!(shop.call(tag_call(1)).await, "done");
    shop.disk.set(State::Stuck);
    let first = shop.begin(tag_call(2)).await;
    let gone = [shop.begin(tag_call(3)).await, shop.begin(tag_call(4)).await];
    let waiting = shop.begin(tag_call(5)).await;
    gone.iter().for_each(tokio::task::JoinHandle::abort);
    settle().await;

    shop.disk.set(State::Well);
    assert_eq!((end(first).await, end(waiting).await), ("done".into(), "done".into()));
    // Nobody asked for the tags of those who went away to be forgotten.
    assert_eq!(shop.prices().await, [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn gathering_ends_when_all_are_answered() {
    let mut shop = Shop::open(AT_ONCE);
    shop.disk.set(State::Stuck);
    let gone = [shop.begin(tag_call(1)).await, shop.begin(tag_call(2)).await];
    gone.iter().for_each(tokio::task::JoinHandle::abort);
    settle().await;
    // The function is dropped here, with one batch in the log's hands and another one waiting.
    let (next, _) = UserTags::new(Arc::clone(&shop.log), SetClock::at(NOW_MS), "/user-tags/b", AT_ONCE);
    shop.function = Arc::new(next);
    settle().await;
    assert!(!shop.gathering.is_finished(), "a batch is under way");
    shop.disk.set(State::Well);
    (&mut shop.gathering).await.expect("it ends in peace");
    assert_eq!(shop.prices().await, [1, 2]);
    let after = shop.call(tag_call(3)).await;
    assert_eq!(after, "unavailable: too many tags wait", "nobody gathers for it");
}
