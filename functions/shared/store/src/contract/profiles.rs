//! What every [`ProfileStore`] must keep.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use futures_util::future::join_all;
use model::{Action, Cookie, Device, Instant, NameNumber, NameRef, PackedTag, ProductId, TimeRange};

use super::shuffle::Random;
use crate::{Entry, KEPT_TAGS, ProfileStore, StoredTag};

const SEEDS: u64 = 6;
/// 2022-03-01T00:00:00.000Z.
const START_MS: i64 = 1_646_092_800_000;
/// 0000-01-01T00:00:00.000Z.
const FIRST_MS: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z.
const LAST_MS: i64 = 253_402_300_799_999;
const ACCEPTED_MS: u64 = 1_700_000_000_000;
const EVER: TimeRange = TimeRange { from: Instant::from_ms(FIRST_MS), to: Instant::from_ms(LAST_MS + 1) };

/// A cookie that nobody tagged has no tags, and erasing it is no error.
pub async fn an_unknown_cookie_has_no_tags(store: &impl ProfileStore) {
    let unknown = cookie("unknown");
    store.put(Vec::new()).await.expect("puts nothing");
    store.erase(&unknown, ACCEPTED_MS).await.expect("erases nothing");
    check(store, &unknown, &[]).await;
}

/// However often, in whatever order, in whatever parts the same entries are put: the same answers.
pub async fn puts_are_idempotent_and_commute(store: &impl ProfileStore) {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let entries = some_entries(&mut random, "", 120);
        for name in ["one", "two", "three"] {
            let cookie = cookie(&format!("{name} {seed}"));
            let entries: Vec<_> =
                entries.iter().map(|entry| Entry { cookie: cookie.clone(), ..entry.clone() }).collect();
            for part in random.delivered(&entries) {
                store.put(part).await.expect("puts");
            }
            check(store, &cookie, &entries).await;
        }
    }
}

/// The same, put by several writers at once, for several cookies in one call.
pub async fn puts_at_once_are_all_there(store: &impl ProfileStore) {
    let mut random = Random(7);
    let cookies = ["a", "b", "c"];
    let entries: Vec<_> = cookies.iter().flat_map(|name| some_entries(&mut random, name, 60)).collect();
    let deliveries = random.delivered(&entries);
    for put in join_all(deliveries.into_iter().map(|part| store.put(part))).await {
        put.expect("puts");
    }
    for name in cookies {
        let cookie = cookie(name);
        let own: Vec<_> = entries.iter().filter(|entry| entry.cookie == cookie).cloned().collect();
        check(store, &cookie, &own).await;
    }
}

/// The limit counts after the range, each list on its own.
pub async fn newest_by_range_and_limit(store: &impl ProfileStore) {
    let ranged = cookie("ranged");
    let entries: Vec<_> = (0..150).map(|n| view(&ranged, START_MS + 10 * n, 1)).collect();
    store.put(entries.clone()).await.expect("puts");
    let range = |from: i64, to: i64| TimeRange {
        from: Instant::from_ms(START_MS + from),
        to: Instant::from_ms(START_MS + to),
    };
    for range in [
        range(0, 10),
        range(0, 1),
        range(1, 10),
        range(10, 11),
        range(995, 1_005),
        range(500, 500),
        range(-5_000, 5_000),
        range(1_490, 1_491),
        range(1_491, 9_999),
        range(20, 10),
    ] {
        for limit in [0, 1, 2, 149, 150, 151, KEPT_TAGS] {
            let found = store.newest(&ranged, Action::View, range, limit).await.expect("reads");
            assert_eq!(found, newest_of(&entries, Action::View, range, limit), "{range:?}, limit {limit}");
        }
    }
    assert_eq!(store.newest(&ranged, Action::Buy, EVER, KEPT_TAGS).await.expect("reads"), []);
}

/// Tags of one millisecond are all kept, in the order of their identities.
pub async fn equal_milliseconds_keep_an_order(store: &impl ProfileStore) {
    let equal = cookie("equal");
    let identities = [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, 256, 255, 65_536];
    let entries: Vec<_> = identities.iter().map(|&identity| view(&equal, START_MS, identity)).collect();
    store.put(entries.clone()).await.expect("puts");
    check(store, &equal, &entries).await;
}

/// The newest [`KEPT_TAGS`] by event time survive any trimming, in each list on its own. `settle` lets the store trim.
pub async fn keeps_the_newest_of_many<S: ProfileStore>(store: &S, settle: impl AsyncFn(&S)) {
    let many = cookie("many");
    let views = (0..700).map(|n| view(&many, START_MS + n / 3, n.unsigned_abs()));
    let buys = (0..450).map(|n| Entry { action: Action::Buy, ..view(&many, START_MS - n, 1) });
    let entries: Vec<_> = views.chain(buys).collect();
    let seldom = view(&cookie("seldom"), START_MS, 1);
    store.put(vec![seldom.clone()]).await.expect("puts");
    let mut random = Random(3);
    for (number, part) in random.delivered(&entries).into_iter().enumerate() {
        store.put(part).await.expect("puts");
        if number % 10 == 0 {
            settle(store).await;
        }
    }
    settle(store).await;
    check(store, &many, &entries).await;
    // Delivered once more after the trimming, in the order of time.
    for part in entries.chunks(100) {
        store.put(part.to_vec()).await.expect("puts");
        settle(store).await;
    }
    check(store, &many, &entries).await;
    check(store, &seldom.cookie.clone(), &[seldom]).await;
}

/// The years 0000 and 9999 are times like all others.
pub async fn times_at_the_ends(store: &impl ProfileStore) {
    let ends = cookie("ends");
    let times = [FIRST_MS, FIRST_MS + 1, -1, 0, 1, START_MS, LAST_MS - 1, LAST_MS];
    let entries: Vec<_> = times.iter().map(|&ms| view(&ends, ms, 1)).collect();
    store.put(entries.clone()).await.expect("puts");
    check(store, &ends, &entries).await;
    for ms in times {
        let only = TimeRange { from: Instant::from_ms(ms), to: Instant::from_ms(ms + 1) };
        let found = store.newest(&ends, Action::View, only, KEPT_TAGS).await.expect("reads");
        assert_eq!(found, newest_of(&entries, Action::View, only, KEPT_TAGS));
    }
}

/// Any text is a cookie, and no two share a list.
pub async fn any_text_is_a_cookie(store: &impl ProfileStore) {
    let long = "x".repeat(model::MAX_NAME_BYTES);
    let texts = [
        "",
        "\0",
        "\0\0",
        "a",
        "ab",
        "a\0",
        "a\0b",
        "A",
        "żółć",
        "z\u{307}o\u{301}ł",
        "/%2F?&",
        " a",
        &long,
        &long[1..],
    ];
    let entries: Vec<_> =
        (1..).zip(texts).map(|(identity, text)| view(&cookie(text), START_MS, identity)).collect();
    store.put(entries.clone()).await.expect("puts");
    for entry in entries {
        check(store, &entry.cookie.clone(), &[entry]).await;
    }
}

/// Names of 64 KiB, spelled out.
pub async fn values_may_be_large(store: &impl ProfileStore) {
    let large = cookie("large");
    let name = || NameRef::Spelled("n".repeat(model::MAX_NAME_BYTES));
    let tag = PackedTag {
        country: name(),
        origin: name(),
        brand: name(),
        category: name(),
        ..packed(ACCEPTED_MS, 1)
    };
    let entries =
        [Entry { packed: tag.to_bytes(), ..view(&large, START_MS, 1) }, view(&large, START_MS + 1, 2)];
    store.put(entries.to_vec()).await.expect("puts");
    check(store, &large, &entries).await;
}

/// Puts, erasures and repeats of both in any order end in the same: what was accepted at or after the last erasure.
pub async fn erasures_commute_with_puts(store: &impl ProfileStore) {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let name = format!("erased {seed}");
        let erased = cookie(&name);
        let entries = some_entries(&mut random, &name, 120);
        let other = some_entries(&mut random, &format!("{name}, too"), 5);
        store.put(other.clone()).await.expect("puts");
        let times = [ACCEPTED_MS + 20, ACCEPTED_MS + 50, ACCEPTED_MS + 40];
        for (number, part) in random.delivered(&entries).into_iter().enumerate() {
            store.put(part).await.expect("puts");
            if number % 2 == 0 {
                store.erase(&erased, times[random.below(times.len())]).await.expect("erases");
            }
        }
        for time in times {
            store.erase(&erased, time).await.expect("erases");
        }
        let left: Vec<_> =
            entries.iter().filter(|entry| entry.accepted_ms >= ACCEPTED_MS + 50).cloned().collect();
        check(store, &erased, &left).await;
        store.put(entries.clone()).await.expect("puts");
        check(store, &erased, &left).await;
        check(store, &other[0].cookie, &other).await;
    }
}

/// An erased entry takes no place from a kept one, however new it is. `settle` lets the store trim.
pub async fn erased_entries_take_no_place<S: ProfileStore>(store: &S, settle: impl AsyncFn(&S)) {
    let erased = cookie("erased");
    let old: Vec<_> = (0..300).map(|n| accepted(ACCEPTED_MS, view(&erased, START_MS + n, 1))).collect();
    let kept: Vec<_> =
        (0..KEPT_TAGS as i64).map(|n| accepted(ACCEPTED_MS + 2, view(&erased, START_MS - n, 2))).collect();
    store.put(old.clone()).await.expect("puts");
    store.erase(&erased, ACCEPTED_MS + 1).await.expect("erases");
    for part in kept.chunks(30) {
        store.put(part.to_vec()).await.expect("puts");
        store.put(old.clone()).await.expect("puts");
        settle(store).await;
    }
    check(store, &erased, &kept).await;
}

/// What was put and erased is so after a reopening: older puts are still refused.
pub async fn survives_reopening<S: ProfileStore>(store: S, reopen: impl AsyncFn(S) -> S) {
    let mut random = Random(11);
    let entries = some_entries(&mut random, "reopened", 100);
    let reopened = cookie("reopened");
    store.put(entries.clone()).await.expect("puts");
    let store = reopen(store).await;
    check(&store, &reopened, &entries).await;
    store.erase(&reopened, ACCEPTED_MS + 50).await.expect("erases");
    let store = reopen(store).await;
    let left: Vec<_> =
        entries.iter().filter(|entry| entry.accepted_ms >= ACCEPTED_MS + 50).cloned().collect();
    check(&store, &reopened, &left).await;
    store.put(entries).await.expect("puts");
    store.erase(&reopened, ACCEPTED_MS + 10).await.expect("erases");
    check(&store, &reopened, &left).await;
    check(&reopen(store).await, &reopened, &left).await;
}

/// Both lists are the newest of these entries, with and without a smaller limit.
async fn check(store: &impl ProfileStore, cookie: &Cookie, entries: &[Entry]) {
    for action in Action::ALL {
        for limit in [KEPT_TAGS, 10] {
            let found = store.newest(cookie, action, EVER, limit).await.expect("reads");
            let expected = newest_of(entries, action, EVER, limit);
            assert_eq!(found.len(), expected.len(), "{cookie:?}, {action:?}, limit {limit}");
            assert!(
                found == expected,
                "{cookie:?}, {action:?}, limit {limit}: {found:?} instead of {expected:?}"
            );
        }
    }
}

/// The rule itself.
fn newest_of(entries: &[Entry], action: Action, range: TimeRange, limit: usize) -> Vec<StoredTag> {
    let inside = entries.iter().filter(|entry| entry.action == action && range.contains(entry.instant));
    let list: BTreeMap<_, _> =
        inside.map(|entry| ((Reverse(entry.instant), entry.identity), entry.packed.clone())).collect();
    let newest = list.into_iter().map(|((Reverse(instant), _), packed)| StoredTag { instant, packed });
    newest.take(limit).collect()
}

/// Entries of both lists, some in one millisecond, accepted within 100 ms.
fn some_entries(random: &mut Random, name: &str, count: u64) -> Vec<Entry> {
    let entry = |identity| {
        let entry = view(&cookie(name), START_MS + random.below(40) as i64, identity);
        let action = Action::ALL[random.below(2)];
        accepted(ACCEPTED_MS + random.below(100) as u64, Entry { action, ..entry })
    };
    (0..count).map(entry).collect()
}

fn cookie(text: &str) -> Cookie {
    Cookie(text.into())
}

fn view(cookie: &Cookie, ms: i64, identity: u64) -> Entry {
    let entry = Entry {
        cookie: cookie.clone(),
        action: Action::View,
        instant: Instant::from_ms(ms),
        identity,
        accepted_ms: 0,
        packed: Vec::new(),
    };
    accepted(ACCEPTED_MS, entry)
}

fn accepted(accepted_ms: u64, entry: Entry) -> Entry {
    Entry { accepted_ms, packed: packed(accepted_ms, entry.identity).to_bytes(), ..entry }
}

fn packed(accepted_ms: u64, identity: u64) -> PackedTag {
    let name = || NameRef::Number(NameNumber::new(1).expect("a number"));
    PackedTag {
        accepted_ms,
        sub_ms_nanos: 0,
        fraction_digits: 3,
        device: Device::Pc,
        product_id: ProductId::Integer(identity.cast_signed()),
        country: name(),
        origin: name(),
        brand: name(),
        category: name(),
        price: 1,
    }
}
