//! Whatever happens, in whatever order: a store that the workers filled is what the log says.

use cloudevents::Event;
use model::{AcceptedTag, UserTag};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

use crate::shop::{Shop, batch, erasure, keyed, plain};

/// Each opens a shop of its own.
const CASES: u32 = 24;
/// Some are packed together.
const DELIVERED_AT_ONCE: usize = 8;
/// Half of the batches are accepted before it.
const ERASED_BEFORE_MS: u64 = 1_500;

/// One event on the log, how often it is delivered, and whether the sealer ticks after it.
type Step = (Happening, usize, bool);

#[derive(Debug, Clone)]
enum Happening {
    Accepted { accepted_ms: u64, tags: Vec<AcceptedTag> },
    Erased { cookie: &'static str },
}

fn a_tag() -> impl Strategy<Value = AcceptedTag> {
    let cookie = prop::sample::select(vec!["lucy", "anna", "", "eve"]);
    let action = prop::sample::select(vec!["VIEW", "BUY"]);
    let brand = prop::sample::select(vec!["", "a", "b", "c", "d", "e"]);
    let key = prop::option::weighted(0.3, 0..3_u8);
    (cookie, action, brand, 0..40_u32, 0..3_u32, -5..5_i32, key).prop_map(
        |(cookie, action, brand, minute, ms, price, key)| {
            // Who is erased has no keys: a repeat that is accepted later would be another question.
            let key = key.filter(|_| cookie == "eve");
            let text = format!(
                r#"{{"time":"2022-03-22T12:{minute:02}:00.{ms:03}Z","cookie":"{cookie}","country":"PL","device":"PC","action":"{action}","origin":"o","product_info":{{"product_id":{ms},"brand_id":"{brand}","category_id":"k","price":{price}}}}}"#
            );
            let tag = UserTag::from_json(text.as_bytes()).expect("a tag");
            match key {
                Some(key) => keyed(&key.to_string(), tag),
                None => plain(tag),
            }
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let accepted = (1_000..2_000_u64, vec(a_tag(), 1..6))
        .prop_map(|(accepted_ms, tags)| Happening::Accepted { accepted_ms, tags });
    let erased = prop::sample::select(vec!["lucy", ""]).prop_map(|cookie| Happening::Erased { cookie });
    let happening = prop_oneof![9 => accepted, 1 => erased];
    vec((happening, 1..3_usize, prop::bool::weighted(0.2)), 0..60)
}

fn event((place, happening): (usize, &Happening)) -> Event {
    match happening {
        Happening::Accepted { accepted_ms, tags } => batch(place as u64, *accepted_ms, tags.clone()),
        Happening::Erased { cookie } => erasure(&place.to_string(), cookie, ERASED_BEFORE_MS),
    }
}

async fn run(steps: &[Step], order: u64) {
    let shop = Shop::open().await;
    let mut deliveries = Vec::new();
    for (place, (happening, times, ticks)) in steps.iter().enumerate() {
        let event = event((place, happening));
        shop.append(&event).await;
        deliveries.extend((0..*times).map(|time| (event.clone(), *ticks && time == 0)));
    }
    // Some other order, as several workers make it.
    let shuffled = |place: usize| (place as u64 + 1).wrapping_mul(order | 1) % 1_009;
    let mut places: Vec<usize> = (0..deliveries.len()).collect();
    places.sort_by_key(|place| shuffled(*place));
    for some in places.chunks(DELIVERED_AT_ONCE) {
        let events: Vec<Event> = some.iter().map(|place| deliveries[*place].0.clone()).collect();
        shop.apply_all(&events).await;
        if some.iter().any(|place| deliveries[*place].1) {
            shop.sealer.tick().await.expect("ticks");
        }
    }
    shop.check().await;
}

#[test]
fn a_store_that_the_workers_filled_is_what_the_log_says() {
    let runtime = Runtime::new().expect("a runtime");
    let mut runner = TestRunner::new(Config { cases: CASES, ..Config::default() });
    let checked = runner.run(&(steps(), any::<u64>()), |(steps, order)| {
        runtime.block_on(run(&steps, order));
        Ok(())
    });
    checked.expect("it always agrees");
}
