//! Retention: the newest 1,440 minutes that hold data, and the newest 200 of each list of a profile for ever.

use crate::Fresh;
use crate::support::http::Request;
use crate::support::tags::{Tag, profile_request, profile_text};

/// More than are kept, margin included.
const MINUTES: usize = 1_500;
const KEPT: usize = 1_440;

/// Every other minute from midnight on, so that two days pass.
fn minute(n: usize) -> String {
    let minutes = 2 * n;
    format!("2022-03-{:02}T{:02}:{:02}", 1 + minutes / 1_440, minutes / 60 % 24, minutes % 60)
}

#[test]
fn the_newest_minutes_that_hold_data_are_kept() {
    let server = Fresh::start(&["--durability", "process"]);
    let mut client = server.client();
    let mut post = |tag: &Tag| assert_eq!(client.ask(&tag.request()).expect("an answer").status, 204);
    for n in 0..MINUTES {
        post(&Tag { price: 3, ..Tag::view(&format!("c{}", n % 10), &format!("{}:30Z", minute(n))) });
    }
    // One tag of the year 9999 pushes one minute out, not the day.
    post(&Tag::view("far", "9999-01-01T00:00:00Z"));
    for cookie in 0..10 {
        server.profile(&format!("c{cookie}"), (MINUTES / 10, 0));
    }
    let tick = Request::post("/sealer").binary("/ticks", "1", "com.allezon.tick");
    let oldest_kept = MINUTES + 1 - KEPT;
    for _ in 0..3 {
        // Ten minutes hold five that have data.
        for n in (oldest_kept..MINUTES - 5).step_by(5) {
            let query = format!(
                "time_range={}:00_{}:00&action=VIEW&aggregates=COUNT,SUM_PRICE",
                minute(n),
                minute(n + 5)
            );
            let answer = super::support::eventually(|| {
                let answer = server.ask(&Request::post(format!("/aggregates?{query}"))).json();
                let is_right = |row: usize, cell: &str| answer["rows"][row][2] == cell;
                let right = (0..10).all(|row| is_right(row, if row % 2 == 0 { "1" } else { "0" }));
                if right { Ok(answer) } else { Err(answer.to_string()) }
            });
            assert_eq!(answer["rows"][0][3], "3");
        }
        server.done(&tick);
    }
    // A late tag of a kept minute is added to it.
    let kept = minute(MINUTES - 1);
    server.accept(&Tag { price: 4, ..Tag::view("late", &format!("{kept}:59Z")) });
    let query = format!(
        "/aggregates?time_range={kept}:00_{}:00&action=VIEW&aggregates=SUM_PRICE",
        &kept.replace(":58", ":59")
    );
    let text =
        format!(r#"{{"columns":["1m_bucket","action","sum_price"],"rows":[["{kept}:00","VIEW","7"]]}}"#);
    server.answers(&Request::post(query), &text);
    // One of a minute that is gone is still accepted for the profile.
    let late = Tag::view("late too", "2020-01-01T00:00:00Z");
    server.accept(&late);
    server.answers(&profile_request("late too"), &profile_text("late too", &[&late], &[]));
}

#[test]
fn the_newest_200_of_each_list_are_kept_by_event_time() {
    let server = Fresh::start(&["--durability", "process"]);
    let mut client = server.client();
    let tag = |n: usize, action| Tag {
        action,
        ..Tag::view("c", &format!("2022-03-01T00:{:02}:{:02}.{n}Z", n / 60, n % 60))
    };
    // In an order in which the newest come neither first nor last.
    for n in (0..600).map(|n| n * 7 % 600) {
        let answer = client.ask(&tag(n, if n < 500 { "VIEW" } else { "BUY" }).request()).expect("an answer");
        assert_eq!(answer.status, 204);
    }
    let views: Vec<Tag> = (300..500).rev().map(|n| tag(n, "VIEW")).collect();
    let buys: Vec<Tag> = (500..600).rev().map(|n| tag(n, "BUY")).collect();
    let text = profile_text("c", &views.iter().collect::<Vec<_>>(), &buys.iter().collect::<Vec<_>>());
    server.answers(&profile_request("c"), &text);
}
