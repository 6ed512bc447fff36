//! What every adapter must keep, also one that remembers nothing.

use std::sync::Arc;

use names_http::{HttpNames, NamesOptions};
use store::contract::names as contract;
use store::{Error, Names};

use crate::service::Log;
use crate::{BRAND, find, names, number, options, unavailable};

async fn on_services_of_their_own(check: impl AsyncFn(&HttpNames)) {
    for names_cache_bytes in [12 << 20, 1_000, 0] {
        let log = Log::empty();
        let service = log.serve().await;
        let options = NamesOptions { names_cache_bytes, ..options(&service.url()) };
        check(&HttpNames::new(&options).unwrap()).await;
        service.stop().await;
    }
}

#[tokio::test]
async fn numbers_grow_by_one_in_each_collection() {
    on_services_of_their_own(async |names| contract::numbers_grow_by_one_in_each_collection(names).await)
        .await;
}

#[tokio::test]
async fn an_absence_does_not_last() {
    on_services_of_their_own(async |names| contract::an_absence_does_not_last(names).await).await;
}

#[tokio::test]
async fn what_is_too_long_has_no_number() {
    on_services_of_their_own(async |names| contract::what_is_too_long_has_no_number(names).await).await;
}

#[tokio::test]
async fn any_text_is_a_name() {
    on_services_of_their_own(async |names| contract::any_text_is_a_name(names).await).await;
}

#[tokio::test]
async fn calls_are_of_any_size() {
    on_services_of_their_own(async |names| contract::calls_are_of_any_size(names).await).await;
}

#[tokio::test]
async fn instances_agree() {
    let log = Log::empty();
    let services = [log.serve().await, log.serve().await];
    let all = [&services[0], &services[0], &services[1]].map(|service| Arc::new(names(&service.url())));
    contract::all_are_told_the_same(&all).await;

    let log = Log::empty();
    let (here, there) = (log.serve().await, log.serve().await);
    contract::instances_know_of_each_other(&names(&here.url()), &names(&there.url())).await;
}

#[tokio::test]
async fn survives_reopening() {
    let log = Log::empty();
    let service = log.serve().await;
    let url = service.url();
    contract::survives_reopening(names(&url), async |_| names(&url)).await;
    service.stop().await;
}

#[tokio::test]
async fn a_full_shop_takes_no_more_collections() {
    let log = Log::empty();
    let service = log.serve().await;
    let names = names(&service.url());
    let mut made = 0;
    let full = loop {
        let collection = model::Collection::new(format!("collection {made}"));
        match names.number(&collection, &["a"]).await {
            Ok(numbers) => assert_eq!(numbers.len(), 1),
            Err(error) => break (error, collection),
        }
        made += 1;
    };
    assert!(matches!(&full, (Error::Full(of), collection) if of == collection.as_str()), "{full:?}");
    assert!(made >= 1_000);
    assert_eq!(names.find(&full.1, &["a"]).await.unwrap(), [None]);
    assert_eq!(number(&names, &["a"]).await.unwrap(), [Some(1)], "it is not the service that is in trouble");
    service.stop().await;
}

#[tokio::test]
async fn what_is_known_needs_no_service() {
    let log = Log::empty();
    let service = log.serve().await;
    let names = names(&service.url());
    names.ready().await.unwrap();
    assert_eq!(number(&names, &["a", "b"]).await.unwrap(), [Some(1), Some(2)]);
    let numbers: Vec<_> = names.number(&BRAND, &["b", "a"]).await.unwrap().into_iter().flatten().collect();
    assert_eq!(names.name(&BRAND, &numbers).await.unwrap(), [Some("b".into()), Some("a".into())]);
    let address = service.address;
    service.stop().await;

    assert_eq!(number(&names, &["b", "a"]).await.unwrap(), [Some(2), Some(1)]);
    assert_eq!(find(&names, &["a"]).await.unwrap(), [Some(1)]);
    assert_eq!(names.name(&BRAND, &numbers).await.unwrap(), [Some("b".into()), Some("a".into())]);
    unavailable(find(&names, &["a", "c"]).await);
    assert!(unavailable(find(&names, &["c"]).await).contains("just failed"), "and nobody asks for a moment");
    unavailable(names.ready().await);

    let service = log.serve_at(address).await;
    names.ready().await.unwrap();
    assert_eq!(number(&names, &["c", "a"]).await.unwrap(), [Some(3), Some(1)]);
    service.stop().await;
}
