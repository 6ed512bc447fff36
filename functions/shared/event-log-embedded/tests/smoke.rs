//! The log in short.
use cloudevents::{EventBuilder, EventBuilderV10};
use event_log::{EventLog, Position};
use event_log_embedded::{EmbeddedLog, Options};
use std::time::Duration;

fn event(n: u64, size: usize) -> cloudevents::Event {
    EventBuilderV10::new()
        .id(n.to_string())
        .source("/t")
        .ty("t")
        .data("application/json", vec![n as u8; size])
        .build()
        .unwrap()
}

#[tokio::test]
async fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let t = std::time::Instant::now();
        let log =
            EmbeddedLog::open(dir.path(), Options { segment_bytes: 1 << 20, ..Options::default() }).unwrap();
    
        let mut from = Position(0);
        let mut n = 0;
        loop {
            let found = log.read(from, 1 << 18, Duration::ZERO).await.unwrap();
            if found.is_empty() {
                break;
            }
            for f in &found {
                assert_eq!(f.event, event(n, 60_000));
                n += 1;
            }
            from = found.last().unwrap().next;
        }
        assert_eq!(n, round * 100);
        let mut last = from;
        for i in 0..100 {
            let at = log.append(event(n + i, 60_000)).await.unwrap();
            assert!(at >= last);
            last = at;
        }
    
            "{:?} {:?}",
            log.bounds().await,
            std::fs::read_dir(dir.path())
                .unwrap()
                .map(|e| {
                    let e = e.unwrap();
                    (e.file_name(), e.metadata().unwrap().len())
                })
                .collect::<Vec<_>>()
        );
    }
}
