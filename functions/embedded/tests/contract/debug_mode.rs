//! Debug mode: answers are compared with what the platform expects, and stay what they are.

use crate::Fresh;
use crate::support::http::Request;
use crate::support::tags::{Tag, profile_request, profile_text};

/// The counter of one function and result, as the metrics have it.
fn counted(server: &Fresh, function: &str, result: &str) -> u64 {
    let metrics = server.checked(&Request::get("/metrics"));
    let is_it = |line: &&str| {
        line.starts_with("allezon_debug_comparisons")
            && line.contains(&format!("function=\"{function}\""))
            && line.contains(&format!("result=\"{result}\""))
    };
    let value =
        metrics.text().lines().find(is_it).and_then(|line| line.rsplit(' ').next()).map(str::to_owned);
    value.map_or(0, |value| value.parse().expect("a count"))
}

#[test]
fn matches_and_mismatches_are_counted_and_the_answer_stays() {
    let server = Fresh::start(&["--debug-mode"]);
    let tag = Tag::view("c", "2022-03-22T12:15:00.100Z");
    server.accept(&tag);
    let text = profile_text("c", &[&tag], &[]);
    server.answers(&profile_request("c"), &text);
    let spelled = Tag { time: "2022-03-22T12:15:00.1Z".into(), ..tag.clone() };
    let as_object = format!(r#"{{"buys": null, "views": [{}], "cookie": "c"}}"#, spelled.json());
    let aggregates = Request::post(
        "/aggregates?time_range=2022-03-22T12:15:00_2022-03-22T12:15:00&action=BUY&aggregates=COUNT",
    );
    let rows = r#"{"columns":["1m_bucket","action","count"],"rows":[]}"#;
    let wrong = Tag { price: 1, ..tag };
    let (profile, of_profiles, of_aggregates) = (profile_request("c"), "user-profiles", "aggregates");
    for (request, function, answer, expected, result) in [
        (&profile, of_profiles, &*text, "", None),
        (&profile, of_profiles, &*text, &*text, Some("match")),
        (&profile, of_profiles, &*text, &*as_object, Some("match")),
        (&profile, of_profiles, &*text, &*profile_text("c", &[&wrong], &[]), Some("mismatch")),
        (&profile, of_profiles, &*text, "no JSON", Some("mismatch")),
        (&aggregates, of_aggregates, rows, rows, Some("match")),
        (
            &aggregates,
            of_aggregates,
            rows,
            r#"{"rows":null,"columns":["1m_bucket","action","count"]}"#,
            Some("match"),
        ),
        (&aggregates, of_aggregates, rows, "{}", Some("mismatch")),
    ] {
        let before = ["match", "mismatch"].map(|result| counted(&server, function, result));
        let given = server.checked(&request.clone().body(expected));
        assert_eq!((given.status, given.text()), (200, answer));
        let after = ["match", "mismatch"].map(|result| counted(&server, function, result));
        let expected_after = [
            before[0] + u64::from(result == Some("match")),
            before[1] + u64::from(result == Some("mismatch")),
        ];
        assert_eq!(after, expected_after, "{function} {expected}");
    }
    // Both sides of a mismatch are in the log.
    let log = server.log();
    assert!(log.contains("no JSON") && log.contains("28969"), "{log}");
}

#[test]
fn without_it_bodies_of_queries_are_ignored() {
    let server = Fresh::start(&[]);
    let given = server.checked(&profile_request("c").body("no JSON"));
    assert_eq!((given.status, given.text()), (200, &*profile_text("c", &[], &[])));
    assert_eq!(counted(&server, "user-profiles", "mismatch"), 0);
}
