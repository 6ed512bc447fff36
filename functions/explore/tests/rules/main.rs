//! The rule of `explore`, through its one call and over the embedded store. How groups are counted is tested in the room
//! `columns` against a list of rows; here, what is asked and how it is answered.

mod kept;
mod live;
mod patience;
mod refusals;
mod shop;

use model::{BucketStart, UserTag};
use serde_json::Value;
use shop::{Shop, tag};
use store::MinuteStore;

fn tags() -> Vec<UserTag> {
    vec![
        tag("00:00", ["VIEW", "PL", "PC", "o", "b", "c"], 1),
        tag("00:59.999", ["VIEW", "PL", "TV", "o", "b", "d"], 2),
        tag("05:00", ["VIEW", "CL", "PC", "o", "e", "c"], 4),
        tag("05:01", ["BUY", "CL", "MOBILE", "p", "b", "c"], 8),
        tag("59:59", ["BUY", "PL", "PC", "", "e", "c"], -16),
    ]
}

async fn check_all(shop: &Shop) {
    let all = r#","aggregates":["count","sum_price","avg_price","min_price","max_price"]"#;
    let step = |minute: &str, cells: &str| format!(r#"["2022-03-22T12:{minute}:00",{cells}]"#);
    let check = async |when: &str, rows: &[(&str, &str)]| {
        let rows: Vec<String> = rows.iter().map(|(minute, cells)| step(minute, cells)).collect();
        shop.check(when, &format!("[{}]", rows.join(","))).await;
    };
    check("", &[("00", "5")]).await;
    check(all, &[("00", "5,-1,-0.2,-16,8")]).await;
    check(&format!(r#","action":"VIEW"{all}"#), &[("00", "3,7,2.3333333333333335,1,4")]).await;
    let none = "0,0,null,null,null";
    check(
        &format!(r#","action":"buy","step_minutes":20{all}"#),
        &[("00", "1,8,8,8,8"), ("20", none), ("40", "1,-16,-16,-16,-16")],
    )
    .await;
    check(r#","step_minutes":25"#, &[("00", "4"), ("25", "0"), ("50", "1")]).await;
    let by = |names: &str| format!(r#","aggregates":["sum_price"],"group_by":[{names}]"#);
    check(&by(r#""brand_id""#), &[("00", r#""b",11"#), ("00", r#""e",-12"#)]).await;
    check(&by(r#""origin""#), &[("00", r#""",-16"#), ("00", r#""o",7"#), ("00", r#""p",8"#)]).await;
    check(
        &format!(r#"{},"step_minutes":5"#, by(r#""device","country""#)),
        &[
            ("00", r#""PC","PL",1"#),
            ("00", r#""TV","PL",2"#),
            ("05", r#""MOBILE","CL",8"#),
            ("05", r#""PC","CL",4"#),
            ("55", r#""PC","PL",-16"#),
        ],
    )
    .await;
    let where_ = |filters: &str| format!(r#","filters":{{{filters}}}"#);
    check(&where_(r#""brand_id":{"in":["b","never"]}"#), &[("00", "3")]).await;
    check(&where_(r#""brand_id":{"in":["b"]},"device":{"not_in":["PC","TV"]}"#), &[("00", "1")]).await;
    check(&where_(r#""origin":{"in":["","o"],"not_in":["o"]}"#), &[("00", "1")]).await;
    check(&where_(r#""country":{"in":[]}"#), &[("00", "0")]).await;
    check(&where_(r#""category_id":{"not_in":["c","d"]}"#), &[("00", "0")]).await;
    check(&format!(r#"{}{}"#, where_(r#""country":{"in":["XX"]}"#), by(r#""country""#)), &[]).await;
}

#[tokio::test(start_paused = true)]
async fn answers_are_the_same_from_blocks_and_chunks() {
    let shop = Shop::open();
    let sealed = async || {
        shop.sealer.tick().await.expect("ticks");
        let calendar = shop.store.calendar().await.expect("lists");
        assert!(calendar.iter().all(|(_, blocks)| *blocks == 0));
    };
    shop.put(0, tags()).await;
    check_all(&shop).await;
    shop.put(0, tags()).await;
    check_all(&shop).await;
    sealed().await;
    check_all(&shop).await;
    shop.put(0, tags()).await;
    check_all(&shop).await;
    sealed().await;
    check_all(&shop).await;
}

#[tokio::test(start_paused = true)]
async fn a_top_is_of_the_whole_range_and_shown_in_each_step() {
    let shop = Shop::open();
    shop.put(0, tags()).await;
    shop.put(1, [tag("05:02", ["VIEW", "PL", "PC", "q", "b", "c"], 8)]).await;
    let top = |n, by| {
        format!(
            r#","step_minutes":5,"group_by":["origin"],"aggregates":["count"],"top":{{"n":{n},"by":"{by}"}}"#
        )
    };
    let (begin, five, end) = ("2022-03-22T12:00:00", "2022-03-22T12:05:00", "2022-03-22T12:55:00");
    shop.check(&top(1, "count"), &format!(r#"[["{begin}","o",2],["{five}","o",1]]"#)).await;
    // Equal ones by name, and sum_price need not be among the aggregates.
    let rows = format!(r#"[["{begin}","o",2],["{five}","p",1],["{five}","q",1],["{five}","o",1]]"#);
    shop.check(&top(3, "sum_price"), &rows).await;
    shop.check(&top(2, "min_price"), &format!(r#"[["{five}","p",1],["{five}","q",1]]"#)).await;
    let rows =
        format!(r#"[["{begin}","o",2],["{five}","p",1],["{five}","q",1],["{five}","o",1],["{end}","",1]]"#);
    shop.check(&top(99, "avg_price"), &rows).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_what_it_took_in_json_and_csv_and_as_an_event() {
    let shop = Shop::open();
    let hostile = "<script>\"; \u{202e}, ' =1+1\r\n";
    shop.put(0, [tag("00:00", ["VIEW", "PL", "PC", hostile, "b", "c"], 1)]).await;
    let question = r#"{"time_range":"2022-03-22T12:00:00_2022-03-22T13:00:00","group_by":["origin","device"],"aggregates":["avg_price","COUNT"]}"#;
    let json: Value = serde_json::from_str(&shop.ask("*/*", question).await).expect("JSON");
    assert_eq!(json["columns"], serde_json::json!(["bucket", "origin", "device", "avg_price", "count"]));
    assert_eq!(json["rows"], serde_json::json!([["2022-03-22T12:00:00", hostile, "PC", 1, 1]]));
    assert_eq!(json["scanned_rows"], 1);
    assert!(json["took_ms"].is_number());
    assert_eq!(shop.ask_by_event(question).await["rows"], json["rows"]);
    let csv = "bucket,origin,device,avg_price,count\r\n2022-03-22T12:00:00,\"<script>\"\"; \u{202e}, ' =1+1\r\n\",\"PC\",1,1\r\n";
    for accept in ["text/csv", "text/csv; q=0.9, application/json; q=0.1", "TEXT/CSV"] {
        let accept = if accept == "TEXT/CSV" { "text/csv;header=present" } else { accept };
        assert_eq!(shop.ask(accept, question).await, csv);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_below_the_floor_is_not_there() {
    let shop = Shop::open();
    shop.put(0, tags()).await;
    shop.store.raise_floor(BucketStart::from_minutes(27_465_845)).await.expect("raises");
    shop.check("", r#"[["2022-03-22T12:00:00",3]]"#).await;
}
