//! `score` against a toy Allezon: what is right scores 100 %, and what is wrong is found.

use clap::Parser;
use simulator::cli::{Cli, Command};
use simulator::score::report::Report;
use simulator::score::score;

use crate::toy::{Fault, Toy};

/// Little data that shows much: few cookies fill their profiles, and odd values and buys are frequent. Time-outs are
/// long, since the machine may be busy.
const LINE: &str = "simulator score --rate 100000 --profile-visibility 0s --aggregates-visibility 0s --connections 32 \
                    --cookies 20 --origins 3 --brands 3 --categories 2 --buys 30 --odd-values 20 --max-failed 0 \
                    --user-tags-timeout 60s --user-profiles-timeout 60s";

/// Enough for some hundred questions about profiles.
const PROFILES: &str = "--duration 14s";

/// Enough for a few questions about the first minute.
const AGGREGATES: &str = "--duration 75s --profiles-after 1h --aggregates-after 1m";

struct Scored {
    toy: Toy,
    report: Report,
    is_good: bool,
}

impl Scored {
    fn why(&self) -> String {
        let reasons: Vec<_> =
            self.report.wrong_answers.iter().map(|wrong| (&wrong.question, &wrong.reason)).collect();
        format!("{:?}\n{reasons:?}", self.report.statistics)
    }

    fn count(&self, name: &str) -> u64 {
        self.report.statistics[name].as_u64().unwrap()
    }
}

async fn scored(fault: Fault, more: &str) -> Scored {
    let (toy, url) = Toy::start(fault).await;
    let line = format!("{LINE} --target {url} {more}");
    let Command::Score(options) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
        unreachable!("the line says score")
    };
    let report = score(&options).await.unwrap();
    let is_good = report.is_good(&options);
    Scored { toy, report, is_good }
}

#[tokio::test]
async fn right_profiles_score_100() {
    let scored = scored(Fault::None, &format!("{PROFILES} --send-expected")).await;
    assert!(scored.is_good, "{}", scored.why());
    assert_eq!(scored.count("event.responses.2xx"), 14_000);
    assert_eq!(scored.count("query.user_profile.results.ok"), 401);
    assert!(scored.count("query.user_profile.with.empty.result") > 0);
    assert_eq!((scored.report.doubtful_tags, scored.toy.state.lock().unwrap().stored()), (0, 14_000));
}

#[tokio::test]
async fn right_aggregates_score_100() {
    let scored = scored(Fault::None, AGGREGATES).await;
    assert!(scored.is_good, "{}", scored.why());
    assert_eq!(scored.count("query.aggregates.results.ok"), 16);
}

#[tokio::test]
async fn wrong_profiles_are_found() {
    for fault in [Fault::Drops(10_100), Fault::Doubles(10_100), Fault::Reverses] {
        let scored = scored(fault, PROFILES).await;
        assert!(!scored.is_good && scored.count("query.user_profile.results.wrong_answer") > 0, "{fault:?}");
        let wrong = &scored.report.wrong_answers[0];
        assert!(wrong.question.contains("time_range=") && wrong.reason.contains("at index"), "{wrong:?}");
    }
}

#[tokio::test]
async fn wrong_aggregates_are_found() {
    let scored = scored(Fault::Miscounts, AGGREGATES).await;
    assert!(!scored.is_good && scored.count("query.aggregates.results.wrong_answer") > 0);
}

#[tokio::test]
async fn tags_without_a_204_may_be_stored_or_not() {
    for (fault, name) in
        [(Fault::Refuses(7), "event.responses.5xx"), (Fault::Closes(7), "event.exceptions.other")]
    {
        let scored = scored(fault, &format!("{PROFILES} --max-failed 20")).await;
        assert!(scored.is_good, "{}", scored.why());
        assert!(scored.count(name) > 1_500);
        assert!(scored.report.doubtful_tags > 1_500 && scored.report.lenient[0] > 0);
    }
}

#[tokio::test]
async fn few_doubtful_tags_do_not_hide_wrong_sums() {
    let scored = scored(Fault::Refuses(20_000), &format!("{AGGREGATES} --max-failed 1")).await;
    assert!(scored.is_good && scored.report.lenient[1] > 0, "{}", scored.why());
}

#[tokio::test]
async fn repeats_with_a_key_leave_no_doubt() {
    let scored = scored(Fault::Refuses(7), "--duration 11s --retry-doubtful 8 --max-failed 20").await;
    assert!(scored.is_good, "{}", scored.why());
    assert_eq!((scored.report.doubtful_tags, scored.toy.state.lock().unwrap().stored()), (0, 11_000));
}

#[tokio::test]
async fn a_used_target_is_refused_and_a_missing_one_named() {
    let first = scored(Fault::None, "--duration 1s").await;
    let line = |url: &str| format!("{LINE} --duration 1s --target {url}");
    let attempt = |url: String| async move {
        let Command::Score(options) = Cli::try_parse_from(line(&url).split_whitespace()).unwrap().command
        else {
            unreachable!("the line says score")
        };
        score(&options).await.unwrap_err().to_string()
    };
    let refusal = attempt(first.toy.url.clone()).await;
    assert!(refusal.contains("already holds") && refusal.contains("--reset"), "{refusal}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusal = attempt(format!("http://{free}")).await;
    assert!(refusal.contains("nothing listens"), "{refusal}");
}
