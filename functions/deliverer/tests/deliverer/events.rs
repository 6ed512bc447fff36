//! Events on their way to a function of ours.

use std::sync::atomic::Ordering;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloudevents::event::ExtensionValue;
use cloudevents::{AttributesReader, AttributesWriter, Data, EventBuilder, EventBuilderV10};
use deliverer::SinkOptions;

use crate::delivery::{Delivery, event, options};
use crate::worker::Worker;

#[tokio::test]
async fn events_arrive_as_they_are() {
    let running = Worker::serve().await;
    let delivery = Delivery::start(&options(&running.url()));
    let full = EventBuilderV10::new()
        .id("full")
        .source("/user-tags/1 2")
        .ty("com.allezon.user-tags.accepted")
        .subject("lucy")
        .time("2022-03-22T12:15:00.123Z")
        .extension("traceparent", "00-1-2-01")
        .data("application/json", br#"{"n": 12345678901234567890123}"#.to_vec());
    let full = full.build().unwrap();
    let bare = EventBuilderV10::new().id("bare").source("/s").ty("t").build().unwrap();
    for event in [&full, &bare] {
        delivery.append(event.clone()).await;
    }
    assert_eq!(running.worker.event("full", 1).await, full);
    let arrived = running.worker.event("bare", 1).await;
    assert_eq!((arrived.ty(), arrived.datacontenttype()), (bare.ty(), None));
    for n in 0..500 {
        delivery.append(event(&n.to_string(), if n % 100 == 0 { "answer" } else { "" })).await;
    }
    delivery.until_done().await;
    assert!((0..500).all(|n| running.worker.count(&n.to_string()) == 1));
    assert_eq!(delivery.stop().await, []);
    running.stop().await;
}

#[tokio::test]
async fn what_is_refused_for_now_comes_again_and_holds_nobody_up() {
    let running = Worker::serve().await;
    let delivery = Delivery::start(&SinkOptions { retries: 2, ..options(&running.url()) });
    delivery.append(event("later", "at the third attempt")).await;
    delivery.append(event("other", "")).await;
    running.worker.event("other", 1).await;
    running.worker.event("later", 3).await;
    delivery.until_done().await;
    assert_eq!(running.worker.count("later"), 3);
    assert_eq!(delivery.stop().await, []);
    running.stop().await;
}

#[tokio::test]
async fn what_is_refused_for_ever_says_why() {
    let running = Worker::serve().await;
    let delivery = Delivery::start(&options(&running.url()));
    delivery.dead_letters.failures.store(3, Ordering::SeqCst);
    delivery.append(event("1", "never")).await;
    delivery.append(event("2", "unknown")).await;
    delivery.until_done().await;
    assert_eq!([running.worker.count("1"), running.worker.count("2")], [1, 1]);
    let buried = delivery.buried(2).await;
    for (letter, reason) in buried.iter().zip(["price: no %C5%82 price", "who?"]) {
        let text = |name: &str| letter.extension(name).map(ToString::to_string);
        assert_eq!(text("knativeerrordest"), Some(running.url()));
        assert_eq!(letter.extension("knativeerrorcode"), Some(&ExtensionValue::Integer(400)));
        assert_eq!(text("reason").as_deref(), Some(reason));
        let data = BASE64_STANDARD.decode(text("knativeerrordata").unwrap()).unwrap();
        assert!(String::from_utf8(data).unwrap().contains(r#""title":"Bad Request""#));
    }
    assert_eq!(buried[0].data(), Some(&Data::Binary(b"never".to_vec())));
    assert_eq!((buried[0].id(), buried[0].ty(), buried[0].source().as_str()), ("1", "test.event", "/test"));
    delivery.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn after_the_last_retry_it_is_put_aside() {
    let running = Worker::serve().await;
    let delivery = Delivery::start(&SinkOptions { retries: 4, ..options(&running.url()) });
    delivery.append(event("1", "broken")).await;
    let buried = delivery.buried(1).await;
    assert_eq!(buried[0].extension("knativeerrorcode"), Some(&ExtensionValue::Integer(500)));
    delivery.until_done().await;
    assert_eq!(running.worker.count("1"), 5);
    delivery.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn without_a_limit_it_is_never_given_up() {
    let running = Worker::serve().await;
    let delivery = Delivery::start(&SinkOptions { retries: 0, ..options(&running.url()) });
    delivery.append(event("1", "broken")).await;
    running.worker.event("1", 20).await;
    assert_eq!(delivery.stop().await, []);
    running.stop().await;
}

#[tokio::test]
async fn a_function_may_come_later_and_go_in_between() {
    let running = Worker::serve().await;
    let (address, url) = (running.address, running.url());
    let delivery = Delivery::start(&options(&url));
    delivery.append(event("1", "")).await;
    delivery.until_done().await;
    running.stop().await;
    delivery.append(event("2", "")).await;
    let running = Worker::serve_at(address).await;
    running.worker.event("2", 1).await;
    delivery.until_done().await;
    assert_eq!(delivery.stop().await, []);
    running.stop().await;
}

#[tokio::test]
async fn strange_attributes_hold_nothing_up() {
    let running = Worker::serve().await;
    let delivery = Delivery::start(&options(&running.url()));
    let mut strange = event("a\r\nce-type: b \u{142}", "");
    strange.set_subject(Some(" \u{0} "));
    strange.set_extension("ok", "\u{65e5}\u{672c}".to_owned());
    strange.set_extension("no header\r\nx", "value".to_owned());
    delivery.append(strange).await;
    let arrived = running.worker.event("a%0D%0Ace-type: b %C5%82", 1).await;
    assert_eq!((arrived.ty(), arrived.subject()), ("test.event", Some("%20%00%20")));
    assert_eq!(arrived.extension("ok").map(ToString::to_string).as_deref(), Some("%E6%97%A5%E6%9C%AC"));
    assert_eq!(arrived.iter_extensions().count(), 1);

    let mut refused = event("", "");
    refused.set_extension("long", "x".repeat(300_000));
    delivery.append(refused).await;
    delivery.append(event("", "")).await;
    let buried = delivery.buried(2).await;
    let codes: Vec<_> = buried.iter().map(|letter| letter.extension("knativeerrorcode").cloned()).collect();
    assert!(codes.contains(&Some(ExtensionValue::Integer(400))), "an event without an id: {codes:?}");
    assert!(codes.contains(&Some(ExtensionValue::Integer(431))), "a head too large: {codes:?}");
    delivery.until_done().await;
    delivery.stop().await;
    running.stop().await;
}
