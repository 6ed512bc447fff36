//! `load`: every request is counted, and marked tags are seen.

use clap::Parser;
use simulator::cli::{Cli, Command};
use simulator::load::load;
use simulator::load::report::Report;

use crate::toy::{Fault, Toy};

async fn loaded(fault: Fault, line: &str) -> (Toy, Report) {
    let (toy, url) = Toy::start(fault).await;
    let line =
        format!("simulator load --target {url} --user-tags-timeout 60s --user-profiles-timeout 60s {line}");
    let Command::Load(options) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
        unreachable!("the line says load")
    };
    (toy, load(&options).await.unwrap())
}

#[tokio::test]
async fn all_kinds_are_sent_at_their_rates() {
    let line = "--duration 1s --tags-rate 500 --profiles-rate 50 --aggregates-rate 20 --visibility --visibility-rate 20";
    let (toy, report) = loaded(Fault::None, line).await;
    let total = |at: usize| report.lanes[at].tally.total() + report.lanes[at].unsent;
    assert!(total(0) >= 500 && total(1) >= 50 && total(2) >= 20, "{:#}", report.to_json());
    assert!(report.is_good(0.0), "{:#}", report.to_json());
    let (seen, under_way) = report.visibility.clone().unwrap();
    assert!(seen.profiles.count() > 0 && seen.profiles.count() == seen.aggregates.count());
    assert_eq!((seen.lost, seen.unaccepted, under_way), (0, 0, 0));
    let stored = toy.state.lock().unwrap().stored() as u64;
    assert_eq!(stored, report.lanes[0].tally.successes() + seen.profiles.count());
}

#[tokio::test]
async fn a_closed_loop_counts_what_was_refused() {
    let (toy, report) = loaded(Fault::Refuses(5), "--duration 500ms --connections 4").await;
    let tally = &report.lanes[0].tally;
    assert_eq!(tally.total(), toy.state.lock().unwrap().seen as u64);
    assert!(tally.statuses()[&503] >= tally.total() / 5);
    assert!(report.is_good(100.0) && !report.is_good(1.0));
}
