//! A sealing that ends at each of its steps, in this process and in the next one, alone and beside another one.

use store::{MinuteStore, Sealing, Swap};

use crate::shop::{Shop, bucket, merged};

/// How far a sealing comes before it ends.
#[derive(Debug, Clone, Copy)]
enum Step {
    Begun,
    RecordsRead,
    BlockAddedMeanwhile,
    Swapped,
    SwappedAndBegunAgain,
}

const STEPS: [Step; 5] =
    [Step::Begun, Step::RecordsRead, Step::BlockAddedMeanwhile, Step::Swapped, Step::SwappedAndBegunAgain];

/// What is left of a sealing that ended: what it would swap with.
async fn seal_until(shop: &mut Shop, step: Step) -> (Sealing, Option<Swap>) {
    let sealing = shop.store.begin_seal(bucket(1)).await.expect("begins");
    if matches!(step, Step::Begun) {
        return (sealing, None);
    }
    let swap = merged(&shop.store, &sealing).await;
    match step {
        Step::Begun | Step::RecordsRead => {}
        Step::BlockAddedMeanwhile => shop.add(1, &[7]).await,
        Step::Swapped => assert!(shop.store.swap(swap.clone()).await.expect("swaps")),
        Step::SwappedAndBegunAgain => {
            assert!(shop.store.swap(swap.clone()).await.expect("swaps"));
            shop.store.begin_seal(bucket(1)).await.expect("begins");
        }
    }
    (sealing, Some(swap))
}

#[tokio::test]
async fn a_sealing_may_end_at_each_step() {
    for step in STEPS {
        for (restarts, sealed_before) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut shop = Shop::with_minutes(3).await;
            if sealed_before {
                shop.tick().await;
                shop.add(1, &[5, 1]).await;
            }
            seal_until(&mut shop, step).await;
            shop.check(0..4).await;
            if restarts {
                shop.restart().await;
                shop.check(0..4).await;
            }
            shop.add(1, &[6, 2]).await;
            shop.check(0..4).await;
            shop.tick().await;
            shop.check_sealed().await;
            shop.restart().await;
            shop.check_sealed().await;
        }
    }
}

#[tokio::test]
async fn a_sealing_that_was_overtaken_cannot_finish() {
    for step in [Step::RecordsRead, Step::BlockAddedMeanwhile, Step::Swapped, Step::SwappedAndBegunAgain] {
        for restarts in [false, true] {
            let mut shop = Shop::with_minutes(3).await;
            let (_, swap) = seal_until(&mut shop, step).await;
            let swap = swap.expect("it came so far");
            if restarts {
                shop.restart().await;
            }
            // Somebody else seals the minute to its end.
            shop.tick().await;
            assert!(!shop.store.swap(swap.clone()).await.expect("says so"), "{step:?}");
            shop.check_sealed().await;
            // Somebody else has begun, and not finished.
            shop.add(1, &[8]).await;
            let begun = shop.store.begin_seal(bucket(1)).await.expect("begins");
            assert!(!shop.store.swap(swap).await.expect("says so"), "{step:?}");
            shop.check(0..3).await;
            let finish = merged(&shop.store, &begun).await;
            assert!(shop.store.swap(finish).await.expect("swaps"));
            shop.check_sealed().await;
        }
    }
}

#[tokio::test]
async fn a_sealing_of_a_minute_that_goes_meanwhile() {
    let mut shop = Shop::with_minutes(3).await;
    let sealing = shop.store.begin_seal(bucket(1)).await.expect("begins");
    let swap = merged(&shop.store, &sealing).await;
    shop.store.raise_floor(bucket(2)).await.expect("raises");
    assert!(!shop.store.swap(swap).await.expect("says so"));
    shop.added.retain(|minute, _| *minute >= 2);
    for _ in 0..2 {
        shop.check(0..3).await;
        shop.tick().await;
        assert_eq!(shop.minutes().await, [2]);
        shop.restart().await;
    }
}
