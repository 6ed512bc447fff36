//! Many askers, few requests.

use std::sync::Arc;

use futures_util::future::join_all;
use store::Names;

use crate::service::{Log, Service};
use crate::{BRAND, names, number};

async fn until_called(service: &Service, calls: usize) {
    while service.function.calls() < calls {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn askers_of_the_same_names_share_requests() {
    let log = Log::empty();
    let service = log.serve().await;
    let names = Arc::new(names(&service.url()));
    let shut = service.function.gate.write().await;
    let askers = (0..16).map(|asker| {
        let names = Arc::clone(&names);
        tokio::spawn(async move { number(&names, &["a", "b", ["c", "d"][asker % 2]]).await.unwrap() })
    });
    let askers: Vec<_> = askers.collect();
    until_called(&service, 1).await;
    drop(shut);
    let told = join_all(askers).await;
    assert!(service.function.calls() <= 2, "the first, and all others: {}", service.function.calls());
    for told in told {
        assert_eq!(told.unwrap()[..2], [Some(1), Some(2)]);
    }
    service.stop().await;
}

#[tokio::test]
async fn who_goes_away_finds_the_answer_the_next_time() {
    let log = Log::empty();
    let service = log.serve().await;
    let names = names(&service.url());
    let shut = service.function.gate.write().await;
    {
        let asking = number(&names, &["a"]);
        tokio::pin!(asking);
        while service.function.calls() == 0 {
            assert!(futures_util::poll!(&mut asking).is_pending());
            tokio::task::yield_now().await;
        }
    }
    drop(shut);
    assert_eq!(number(&names, &["a"]).await.unwrap(), [Some(1)]);
    assert_eq!(service.function.calls(), 1);
    service.stop().await;
}

#[tokio::test]
async fn a_large_call_is_several_requests() {
    let log = Log::empty();
    let service = log.serve().await;
    let names = names(&service.url());
    let asked: Vec<String> = (0..25_000).map(|n| n.to_string()).collect();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let numbers: Vec<_> = names.number(&BRAND, &asked).await.unwrap().into_iter().flatten().collect();
    assert_eq!(numbers.len(), asked.len());
    assert_eq!(service.function.calls(), 3);
    let told = names.name(&BRAND, &numbers[..2_000]).await.unwrap();
    assert!(told.iter().zip(&asked).all(|(told, asked)| told.as_deref() == Some(*asked)));
    assert_eq!(service.function.calls(), 5);
    service.stop().await;
}
