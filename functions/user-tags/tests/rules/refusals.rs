//! What is refused, with the field at fault, and never reaches the log.

use cloudevents::{EventBuilder, EventBuilderV10};
use function::Call;

use crate::shop::{AT_ONCE, Shop, event, post, tag_text, with_keys};

async fn check(when: Call, then: &str) {
    let shop = Shop::open(AT_ONCE);
    assert_eq!(shop.call(when).await, format!("refused: {then}"));
    assert_eq!(shop.batches().await.len(), 0);
    assert_eq!(shop.call(post(tag_text(1))).await, "done", "the next one is taken");
    assert_eq!(shop.prices().await, [1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_tag() {
    let with = |from: &str, to: &str| {
        let text = tag_text(1);
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    for (text, field) in [
        (String::new(), ""),
        ("[]".into(), ""),
        (format!("{0}{0}", tag_text(1)), ""),
        (with(r#""cookie":"c","#, ""), "cookie"),
        (with("12:15:00.000Z", "12:15:00.000"), "time"),
        (with("\"PC\"", "\"pc\""), "device"),
        (with("VIEW", "LOOK"), "action"),
        (with("\"price\":1", "\"price\":2147483648"), "product_info.price"),
        (with("12486", "1.5"), "product_info.product_id"),
        (with("Trousers", &"x".repeat(model::MAX_NAME_BYTES + 1)), "product_info.category_id"),
    ] {
        check(post(text.clone()), field).await;
        check(event("/s", "1", text), field).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_without_data() {
    let event = EventBuilderV10::new().id("1").source("/s").ty(user_tags::event::EVENT_TYPE);
    check(Call::Event(Box::new(event.build().expect("an event"))), "").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_key() {
    let longest = [b'k'; 1_024];
    let too_long = [b'k'; 1_025];
    let cases: [&[&[u8]]; 5] = [&[b""], &[&too_long], &[b"a", b"b"], &[b"a", b"a"], &[b"\xff"]];
    for keys in cases {
        check(with_keys(tag_text(1), keys), "Idempotency-Key").await;
    }
    let shop = Shop::open(AT_ONCE);
    assert_eq!(shop.call(with_keys(tag_text(1), &[&longest])).await, "done");
}
