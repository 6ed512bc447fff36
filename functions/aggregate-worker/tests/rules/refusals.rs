//! What can never be taken, what waits for a newer release, and that neither leaves a trace.

use cloudevents::{Event, EventBuilder, EventBuilderV10};
use function::{Call, Failure, Function, Refusal, Refused, Request};
use http::{HeaderMap, Method};
use model::batch::{EVENT_TYPE, data_bytes};
use model::{Action, Erasure};

use crate::shop::{Shop, batch, plain, view};

/// A good batch of two tags whose data is altered.
fn altered(from: &str, to: &str) -> Event {
    let good = batch(0, [plain(view("00:01", 1)), plain(view("00:02", 2))]);
    let text = String::from_utf8(data_bytes(&good).into_owned()).expect("JSON");
    assert!(text.contains(from), "{from}");
    raw(EVENT_TYPE, "0", &text.replace(from, to))
}

fn raw(ty: &str, id: &str, data: &str) -> Event {
    let event = EventBuilderV10::new().id(id).source("/user-tags/test").ty(ty);
    event.data("application/json", data.as_bytes().to_vec()).build().expect("an event")
}

/// When one of these events comes, then it is answered so, and nothing of it is there.
async fn check<const N: usize>(when: [(Event, &str); N], then: &str) {
    let shop = Shop::open();
    shop.deliver_at_once([batch(7, [plain(view("00:00", 9))])]).await;
    for (event, reason) in when {
        for _ in 0..2 {
            let told = shop.deliver(event.clone()).await;
            assert!(told.starts_with(then) && told.contains(reason), "{told}, not {reason}");
        }
        assert_eq!(shop.totals(Action::View, 0, 1).await, [(1, 9)]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_taken() {
    let whole =
        String::from_utf8(data_bytes(&batch(0, [plain(view("00:01", 1))])).into_owned()).expect("JSON");
    let empty = EventBuilderV10::new().id("0").source("/s").ty(EVENT_TYPE).build().expect("an event");
    let events = [
        (raw("com.allezon.user-tag", "0", &whole), "type com.allezon.user-tag is not known here"),
        (raw(EVENT_TYPE, "first", &whole), "id must be the batch's number"),
        (raw(EVENT_TYPE, "-1", &whole), "id must be the batch's number"),
        (empty, "no batch"),
        (raw(EVENT_TYPE, "0", ""), "no batch"),
        (raw(EVENT_TYPE, "0", "{}"), "no batch"),
        (raw(EVENT_TYPE, "0", &whole[..whole.len() - 1]), "no batch"),
        (raw(EVENT_TYPE, "0", &"[".repeat(100_000)), "no batch"),
        (altered("\"price\":1", "\"price\":11"), "the checksum"),
        (altered("12:00:02Z", "yesterday"), "tags[1].time"),
        (altered("\"price\":2", "\"price\":null"), "no batch"),
        (altered("\"version\":1", "\"version\":0"), "version 0"),
        (raw(Erasure::EVENT_TYPE, "0", "{}"), "missing field"),
    ];
    check(events, "refused").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_newer_release_wrote() {
    let erasure = r#"{"version":2,"cookie":"c","accepted_before_ms":9}"#;
    let events = [
        (altered("\"version\":1", "\"version\":2"), ""),
        (altered("{\"version\":1,\"accepted_ms\":1", "{\"version\":3,\"when\":{}"), ""),
        (raw(Erasure::EVENT_TYPE, "0", erasure), ""),
    ];
    check(events, "unavailable").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event() {
    let request = Request {
        method: Method::POST,
        route: "/aggregate_worker",
        segment: String::new(),
        query: String::new(),
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
    };
    let told = Shop::open().worker.call(Call::Http(request)).await;
    assert!(matches!(told, Err(Failure::Refused(Refusal { kind: Refused::Unsupported, .. }))), "{told:?}");
}
