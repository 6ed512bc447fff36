//! Erasing a shopper: an event in the log, answered when whatever is sent after the answer is kept.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_log_embedded::Step;
use function::Function;
use http::Method;
use model::{Cookie, Erasure};
use tokio::time::Instant;

use crate::shop::{NOW_MS, Shop, ask, request, tag, told};

/// The clocks of instances are within this of each other.
const SKEW_MS: u64 = 2_000;
const RANGE: &str = "time_range=2022-03-22T12:00:00_2022-03-22T13:00:00";

#[tokio::test(start_paused = true)]
async fn an_erasure_is_in_the_log_when_it_is_answered() {
    let shop = Shop::open().await;
    for (count, segment) in (1..).zip(["c", "a%2Fb", "", "c"]) {
        assert_eq!(shop.call(request(Method::DELETE, segment, "ignored=%ff")).await, "done");
        assert_eq!(shop.erasures().await.len(), count);
    }
    let cookies: Vec<Cookie> = shop.erasures().await.into_iter().map(|erasure| erasure.cookie).collect();
    assert_eq!(cookies, ["c", "a/b", "", "c"].map(|cookie| Cookie(cookie.into())));
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_after_the_answer_is_kept_on_every_clock() {
    let shop = Shop::open().await;
    let old = tag("c", "VIEW", "00:01", 1);
    let other = tag("d", "VIEW", "00:01", 1);
    // Another clock is ahead by as much as it may be.
    shop.put(0, NOW_MS + SKEW_MS - 1, [old.clone(), other.clone()]).await;
    let began = Instant::now();
    assert_eq!(shop.call(request(Method::DELETE, "c", "")).await, "done");
    let answered_ms = NOW_MS + u64::try_from(began.elapsed().as_millis()).expect("seconds");

    let erasures = shop.erasures().await;
    let [Erasure { accepted_before_ms, .. }] = erasures[..] else { panic!("{erasures:?}") };
    assert_eq!(accepted_before_ms, NOW_MS + SKEW_MS);
    // Another clock is behind by as much as it may be.
    let new = tag("c", "BUY", "00:00", 2);
    shop.put(1, answered_ms - SKEW_MS, [new.clone()]).await;
    for erasure in erasures {
        let event = erasure.to_event("/user-profiles/test", "0");
        shop.worker.call(function::Call::Event(Box::new(event))).await.expect("erases");
    }
    shop.check(ask("c", RANGE), ("c", &[], &[&new])).await;
    shop.check(ask("d", RANGE), ("d", &[&other], &[])).await;
    // Redelivered, what was erased stays away.
    shop.put(0, NOW_MS + SKEW_MS - 1, [old, other.clone()]).await;
    shop.check(ask("c", RANGE), ("c", &[], &[&new])).await;
}

#[tokio::test]
async fn an_erasure_that_nobody_waits_for_is_in_the_log() {
    let shop = Shop::open().await;
    let function = Arc::clone(&shop.function);
    let call = tokio::spawn(async move { told(function.call(request(Method::DELETE, "c", "")).await) });
    while shop.erasures().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    call.abort();
    assert!(call.await.is_err(), "it is not answered so early");
    assert_eq!(shop.erasures().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn erasures_have_identities_of_their_own() {
    let shop = Shop::open().await;
    let all = (0..10).map(|n| shop.call(request(Method::DELETE, &n.to_string(), "")));
    assert!(futures_util::future::join_all(all).await.iter().all(|told| told == "done"));
    assert_eq!(shop.erasures().await.len(), 10);
    assert_eq!(shop.event_ids().await.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_unavailable() {
    let broken = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&broken);
    let hook = move |step: Step<'_>| match step {
        Step::Sync(_) if flag.load(Ordering::Relaxed) => Err(io::Error::other("no such disk")),
        _ => Ok(()),
    };
    let shop = Shop::with_hook(Some(Arc::new(hook))).await;
    let old = tag("c", "VIEW", "00:01", 1);
    shop.put(0, 1, [old.clone()]).await;
    broken.store(true, Ordering::Relaxed);
    assert_eq!(shop.call(request(Method::DELETE, "c", "")).await, "unavailable");
    shop.check(ask("c", RANGE), ("c", &[&old], &[])).await;
    broken.store(false, Ordering::Relaxed);
}

#[tokio::test]
async fn whom_to_erase_must_be_told() {
    let shop = Shop::open().await;
    let long = "x".repeat(model::MAX_NAME_BYTES + 1);
    for segment in ["%ff", &long] {
        assert_eq!(shop.call(request(Method::DELETE, segment, "")).await, "refused: cookie");
    }
    assert_eq!(shop.erasures().await, []);
}
