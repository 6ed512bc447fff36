//! What is refused, and why: before anything is read where that can be.

use crate::shop::{Shop, tag};

async fn check(shop: &Shop, question: &str, refusal: &str) {
    let answer = shop.ask("application/json", question).await;
    assert!(answer.contains(refusal), "{question}: {answer}, not {refusal}");
}

#[tokio::test(start_paused = true)]
async fn wrong_questions_are_told_what_is_wrong() {
    let shop = Shop::open();
    let hour = r#""time_range":"2022-03-22T12:00:00_2022-03-22T13:00:00""#;
    for (rest, refusal) in [
        (r#","step_minutes":0"#, "step_minutes: must be 1 to 1440"),
        (r#","step_minutes":1441"#, "step_minutes: must be"),
        (r#","step_minutes":"a""#, "step_minutes"),
        (r#","action":"LOOK""#, "action: must be VIEW or BUY"),
        (r#","filter":{}"#, "unknown field `filter`"),
        (r#","filters":{"brand":{"in":["b"]}}"#, "filters.brand: must be origin"),
        (r#","filters":{"brand_id":{}}"#, "filters.brand_id: wants in, not_in or both"),
        (r#","filters":{"brand_id":["b"]}"#, "filters.brand_id"),
        (r#","filters":{"brand_id":{"in":["b"],"or":[]}}"#, "unknown field `or`"),
        (r#","group_by":["cookie"]"#, "group_by: must be origin"),
        (r#","group_by":["origin","origin"]"#, "group_by: names a column twice"),
        (r#","group_by":["origin","brand_id","device","country"]"#, "group_by: must not name more than 3"),
        (r#","aggregates":["median"]"#, "aggregates: must be count"),
        (r#","aggregates":["count","COUNT"]"#, "aggregates: names an aggregate twice"),
        (r#","top":{"n":1,"by":"count"}"#, "top: wants a group_by"),
        (r#","group_by":["origin"],"top":{"n":0,"by":"count"}"#, "top.n: must be 1 to"),
        (r#","group_by":["origin"],"top":{"n":3,"by":"name"}"#, "top.by: must be count"),
        (r#","group_by":["origin"],"top":{"n":3}"#, "top.by: is missing"),
    ] {
        check(&shop, &format!("{{{hour}{rest}}}"), refusal).await;
    }
    check(&shop, "", "refused").await;
    check(&shop, "{} {}", "refused").await;
    check(&shop, "{}", "time_range: is missing").await;
    check(&shop, r#"["a"]"#, "refused").await;
    check(&shop, r#"{"time_range":"2022-03-22T00:00:00_2022-03-23T00:01:00"}"#, "longer than 1440 minutes")
        .await;
    check(&shop, r#"{"time_range":"2022-03-22T00:00:01_2022-03-22T00:01:00"}"#, "whole minute").await;
    let many: Vec<String> = (0..1_001).map(|name| format!("\"{name}\"")).collect();
    check(
        &shop,
        &format!(r#"{{{hour},"filters":{{"origin":{{"in":[{}]}}}}}}"#, many.join(",")),
        "more than 1000 names",
    )
    .await;
    let long = "x".repeat(65_537);
    check(
        &shop,
        &format!(r#"{{{hour},"filters":{{"origin":{{"in":["{long}"]}}}}}}"#),
        "longer than any tag's",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn too_many_groups_are_refused_and_harm_nobody() {
    let shop = Shop::open();
    let names = |n: usize| format!("{n}-{}", "x".repeat(60_000));
    for batch in 0..10 {
        let tags = (0..30).map(|n| tag("00:00", ["VIEW", "PL", "PC", &names(batch * 30 + n), "b", "c"], 1));
        shop.put(batch as u64, tags).await;
    }
    let question = r#"{"time_range":"2022-03-22T12:00:00_2022-03-22T12:01:00","group_by":["origin"]}"#;
    check(&shop, question, "the names of the groups take more than 16777216 bytes").await;
    let question = r#"{"time_range":"2022-03-22T12:00:00_2022-03-22T12:01:00","group_by":["brand_id"]}"#;
    check(&shop, question, r#"[["2022-03-22T12:00:00","b",300]]"#).await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_range_has_no_rows() {
    let shop = Shop::open();
    check(&shop, r#"{"time_range":"2022-03-22T12:00:00_2022-03-22T12:00:00"}"#, r#""rows":[]"#).await;
}
