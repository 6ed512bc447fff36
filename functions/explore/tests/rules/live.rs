//! The newest minutes, as they change.

use std::time::Duration;

use function::{Call, Failure, Function, Reply, Request, Stream};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method};
use model::UserTag;
use serde_json::Value;

use crate::shop::Shop;

fn tag(minute: &str, action: &str, price: i32) -> UserTag {
    crate::shop::tag(&format!("{minute}:01"), [action, "PL", "PC", "o", "b", "c"], price)
}

async fn asked(shop: &Shop, query: &str, last: Option<&str>) -> Result<Stream, Failure> {
    let mut headers = HeaderMap::new();
    if let Some(last) = last {
        headers.insert("last-event-id", HeaderValue::from_str(last).expect("a value"));
    }
    let request = Request {
        method: Method::GET,
        route: "/explore/live",
        segment: String::new(),
        query: query.to_owned(),
        headers,
        body: Default::default(),
    };
    match shop.function.call(Call::Http(request)).await? {
        Reply::Stream(mut stream) => {
            assert_eq!(stream.content_type, "text/event-stream");
            assert_eq!(stream.pieces.next().await.expect("a greeting"), "retry: 1000\n\n");
            Ok(stream)
        }
        other => panic!("{other:?}"),
    }
}

/// The next events: their minutes with the numbers of views and buys, and the last id.
async fn heard(stream: &mut Stream) -> (Vec<(String, u64, u64)>, String) {
    let (mut minutes, mut id) = (Vec::new(), String::new());
    while minutes.is_empty() {
        let piece = stream.pieces.next().await.expect("it goes on");
        for line in std::str::from_utf8(&piece).expect("UTF-8").lines() {
            if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).expect("JSON");
                let count = |what: &str| data[what]["count"].as_u64().expect("a count");
                let minute = data["1m_bucket"].as_str().expect("a minute")[11..16].to_owned();
                minutes.push((minute, count("views"), count("buys")));
            } else if let Some(told) = line.strip_prefix("id: ") {
                id = told.to_owned();
            }
        }
    }
    (minutes, id)
}

fn at(minute: &str, views: u64, buys: u64) -> (String, u64, u64) {
    (minute.to_owned(), views, buys)
}

#[tokio::test]
async fn tells_the_newest_minutes_and_then_what_changes() {
    let shop = Shop::open();
    shop.put(1, [tag("01", "VIEW", 5), tag("02", "BUY", 7), tag("03", "VIEW", 1), tag("03", "BUY", 2)]).await;
    let mut stream = asked(&shop, "minutes=2", None).await.expect("a stream");
    assert_eq!(heard(&mut stream).await.0, [at("12:02", 0, 1), at("12:03", 1, 1)]);
    shop.put(2, [tag("02", "BUY", 1), tag("01", "BUY", 1)]).await;
    assert_eq!(heard(&mut stream).await.0, [at("12:02", 0, 2)], "an older minute is not told");
    shop.sealer.tick().await.expect("seals");
    shop.put(3, [tag("04", "VIEW", 1)]).await;
    assert_eq!(heard(&mut stream).await.0, [at("12:04", 1, 0)], "sealing is no change");
}

#[tokio::test]
async fn a_client_that_comes_back_is_told_what_changed_since() {
    let shop = Shop::open();
    shop.put(1, [tag("01", "VIEW", 5)]).await;
    let mut stream = asked(&shop, "", None).await.expect("a stream");
    let (_, id) = heard(&mut stream).await;
    drop(stream);
    // Beyond what the clocks of two instances may be apart.
    let since = (id.parse::<u64>().expect("a number") + 60_000).to_string();
    shop.put(2, [tag("02", "VIEW", 5)]).await;
    let mut again = asked(&shop, "", Some(&since)).await.expect("a stream");
    // A time to come is no excuse. The board may be some moments old, and be told first as it was.
    while !heard(&mut again).await.0.contains(&at("12:02", 1, 0)) {}
    let mut anew = asked(&shop, "", Some("1")).await.expect("a stream");
    assert_eq!(heard(&mut anew).await.0, [at("12:01", 1, 0), at("12:02", 1, 0)]);
    let mut nonsense = asked(&shop, "", Some("what?")).await.expect("a stream");
    assert_eq!(heard(&mut nonsense).await.0.len(), 2);
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let shop = Shop::open();
    for query in ["minutes=0", "minutes=61", "minutes=x", "minutes=1&minutes=2"] {
        assert!(matches!(asked(&shop, query, None).await, Err(Failure::Refused(_))), "{query}");
    }
}

#[tokio::test]
async fn streams_are_limited_and_give_their_places_back() {
    let shop = Shop::open();
    let mut streams = Vec::new();
    let refused = loop {
        match asked(&shop, "", None).await {
            Ok(stream) => streams.push(stream),
            Err(failure) => break failure,
        }
    };
    assert!(matches!(refused, Failure::Unavailable { .. }), "{refused}");
    assert_eq!(streams.len(), 64);
    streams.pop();
    tokio::time::timeout(Duration::from_secs(5), asked(&shop, "", None))
        .await
        .expect("at once")
        .expect("a place");
}
