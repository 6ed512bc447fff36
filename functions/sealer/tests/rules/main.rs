//! The rule of `sealer`, over the embedded store: whatever it does, whoever does it too, and wherever it stops, the answers
//! of `aggregates` are the same before and after.

mod crashes;
mod retention;
mod shop;

use cloudevents::{EventBuilder, EventBuilderV10};
use function::{Call, Failure, Function, Reply, Request};
use futures_util::future::{join, join_all};
use futures_util::poll;
use http::{HeaderMap, Method};
use sealer::{PING_TYPE, Sealer, TICK_TYPE};
use store::MinuteStore;

use shop::{Shop, block, bucket};

#[tokio::test]
async fn sealing_changes_no_answer() {
    let mut shop = Shop::with_minutes(3).await;
    shop.check(0..5).await;
    shop.tick().await;
    shop.check_sealed().await;
    // A late block, and blocks that come again.
    for batches in [&[5][..], &[1, 2], &[5], &[3, 6, 1]] {
        shop.add(1, batches).await;
        shop.check(0..3).await;
        shop.tick().await;
        shop.check_sealed().await;
    }
    assert_eq!(shop.minutes().await, [0, 1, 2]);
}

#[tokio::test]
async fn what_is_sealed_again_stays_as_it_is() {
    let mut shop = Shop::with_minutes(1).await;
    shop.tick().await;
    let heads = async |shop: &Shop| shop.store.heads(&[bucket(0)]).await.expect("heads");
    let head = heads(&shop).await;
    assert_eq!(head[0].chunks.len(), 2, "one of each action");
    shop.tick().await;
    assert_eq!(heads(&shop).await, head, "there is nothing to do");
    shop.add(0, &[1, 2, 3, 4]).await;
    shop.tick().await;
    assert_eq!(heads(&shop).await, head, "there is nothing new");
    shop.add(0, &[5]).await;
    shop.tick().await;
    assert_eq!(heads(&shop).await[0].chunks.len(), 2, "small chunks are joined");
    shop.check_sealed().await;
}

#[tokio::test]
async fn more_blocks_than_are_merged_at_once() {
    let mut shop = Shop::open();
    for batch in 0..150 {
        shop.add(0, &[batch, 150 + batch / 2]).await;
    }
    shop.check([0]).await;
    shop.tick().await;
    shop.check_sealed().await;
}

#[tokio::test]
async fn a_minute_that_cannot_be_read_keeps_no_other_from_being_sealed() {
    let newer = {
        let mut bytes = block(&[1]).to_vec();
        bytes[0] += 1;
        bytes
    };
    for bad in [b"no block".to_vec(), Vec::new(), block(&[1])[..20].to_vec(), newer] {
        let mut shop = Shop::with_minutes(3).await;
        shop.store.add_blocks(vec![(bucket(1), bad.into())]).await.expect("adds");
        for _ in 0..2 {
            assert!(matches!(shop.sealer.tick().await, Err(Failure::Unavailable { .. })), "it says so");
            assert_eq!(shop.blocks().await, [(0, 0), (1, 4), (2, 0)]);
            shop.check([0, 2]).await;
            let told = shop.ask(1, model::Action::View, None).await;
            assert!(matches!(told, Err(Failure::Unavailable { .. })), "never a wrong number: {told:?}");
        }
        shop.add(2, &[9]).await;
        assert!(shop.sealer.tick().await.is_err());
        shop.check([0, 2]).await;
    }
}

#[tokio::test]
async fn a_tick_during_a_tick_does_nothing() {
    // Many, since what the first has begun may go some way by itself; a tick that does something seals all.
    let shop = Shop::with_minutes(20).await;
    let mut first = Box::pin(shop.sealer.tick());
    assert!(poll!(&mut first).is_pending());
    shop.tick().await;
    assert!(shop.blocks().await.iter().any(|(_, blocks)| *blocks > 0));
    first.await.expect("ticks");
    shop.check_sealed().await;
}

#[tokio::test]
async fn a_tick_that_nobody_waits_for_any_more() {
    let mut shop = Shop::with_minutes(1).await;
    // It is left at each place where it waits.
    for times in 1.. {
        let mut tick = Box::pin(shop.sealer.tick());
        let mut over = false;
        for _ in 0..times {
            over = poll!(&mut tick).is_ready();
            if over {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
        drop(tick);
        shop.check([0]).await;
        if over {
            break;
        }
        shop.add(0, &[times + 10]).await;
    }
    shop.tick().await;
    shop.check_sealed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sealers_at_once() {
    let mut shop = Shop::with_minutes(5).await;
    let other = Sealer::new(shop.store.clone());
    for round in 0..20 {
        let minute = u32::try_from(round % 5).expect("small");
        let (first, second, ()) = futures_util::join!(shop.sealer.tick(), other.tick(), shop.check(0..5));
        first.and(second).expect("being overtaken is no failure");
        shop.add(minute, &[round + 5, round / 2]).await;
    }
    // Whoever was overtaken tries again at the next tick.
    shop.tick().await;
    shop.check_sealed().await;
    let ticks = join_all((0..4).map(|_| other.tick()));
    assert!(join(ticks, shop.check(0..5)).await.0.iter().all(Result::is_ok));
}

#[tokio::test]
async fn whatever_comes_is_a_tick() {
    let mut shop = Shop::open();
    let described = shop.sealer.describe();
    assert_eq!((described.path, described.events), ("/sealer", &[TICK_TYPE, PING_TYPE][..]));
    let event = |ty: &str| {
        let event = EventBuilderV10::new().id("1").source("/ticks").ty(ty).build().expect("an event");
        Call::Event(Box::new(event))
    };
    let request = Request {
        method: Method::POST,
        route: "/sealer",
        segment: String::new(),
        query: String::new(),
        headers: HeaderMap::new(),
        body: bytes::Bytes::from_static(b"whatever"),
    };
    for (batch, call) in (1..).zip([event(TICK_TYPE), event(PING_TYPE), event("any"), Call::Http(request)]) {
        shop.add(0, &[batch]).await;
        assert_eq!(shop.sealer.call(call).await.expect("ticks"), Reply::Done);
        shop.check_sealed().await;
    }
}

#[tokio::test]
async fn a_store_that_is_closed() {
    let shop = Shop::with_minutes(1).await;
    shop.store.close().await.expect("closes");
    assert!(matches!(shop.sealer.tick().await, Err(Failure::Unavailable { .. })));
}
