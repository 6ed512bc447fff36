//! `replay` and `generate`: what was written arrives once, and what is refused is named.

use std::io::Write;
use std::path::Path;

use clap::Parser;
use simulator::cli::{Cli, Command};
use simulator::generate::write;
use simulator::recording::Sink;
use simulator::replay::replay;
use simulator::replay::report::Report;
use simulator::stream::{Shape, Stream};

use crate::toy::{Fault, Toy};

async fn replayed(url: &str, file: &Path, more: &str) -> Report {
    let file = file.display();
    let line = format!("simulator replay {file} --target {url} --user-tags-timeout 60s {more}");
    let Command::Replay(options) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
        unreachable!("the line says replay")
    };
    let (report, ended) = replay(&options).await.unwrap();
    ended.unwrap();
    report
}

#[tokio::test]
async fn a_generated_file_arrives_once_whatever_is_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let stream = Stream::new(Shape::default(), 1);
    for name in ["a.json", "a.json.gz", "a.json.zst"] {
        let file = directory.path().join(name);
        write(&stream, 300, &file).unwrap();
        let (toy, url) = Toy::start(Fault::Refuses(40)).await;
        for _ in 0..2 {
            let report = replayed(&url, &file, "--speed 0 --key mine").await;
            assert_eq!((report.lines, report.accepted, report.is_good()), (300, 300, true));
            assert!(report.retried > 0);
        }
        assert_eq!(toy.state.lock().unwrap().stored(), 300);
    }
}

#[tokio::test]
async fn refused_lines_are_counted_and_the_others_sent() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mixed.json");
    let mut sink = Sink::create(&file).unwrap();
    let stream = Stream::new(Shape::default(), 1);
    for number in 0..30 {
        let mut line = String::new();
        stream.push_json(&mut line, &stream.tag(number));
        let line = if number % 10 == 3 { "{\"no\": \"tag\"}" } else { &line };
        writeln!(sink, "{line}").unwrap();
    }
    sink.finish().unwrap();
    let (toy, url) = Toy::start(Fault::None).await;
    let report = replayed(&url, &file, "--rate 10000").await;
    assert_eq!((report.accepted, report.refused, report.lost, report.is_good()), (27, 3, 0, false));
    assert_eq!(toy.state.lock().unwrap().stored(), 27);
}

#[tokio::test]
async fn without_keys_a_lost_answer_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.json");
    write(&Stream::new(Shape::default(), 1), 100, &file).unwrap();
    let (toy, url) = Toy::start(Fault::Closes(20)).await;
    let report = replayed(&url, &file, "--speed 0 --no-keys").await;
    assert_eq!((report.accepted, report.lost), (95, 5));
    assert_eq!(toy.state.lock().unwrap().stored(), 100);
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let line = ["simulator", "replay", "/nowhere/a.json"];
    let Command::Replay(options) = Cli::try_parse_from(line).unwrap().command else {
        unreachable!("the line says replay")
    };
    let error = replay(&options).await.err().unwrap();
    assert!(format!("{error:#}").contains("cannot open /nowhere/a.json"), "{error:#}");
}
