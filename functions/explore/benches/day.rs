//! A day of tags at 1,000 a second in the embedded store, asked the questions of `questions.json`, by an explore that keeps nothing in
//! memory (`read_ms`) and by one that keeps what it has read, as `allezon` does (`kept_ms`). Without arguments that is all; with
//! a directory, the tags and the answers are written there too, for `against-clickhouse`, which says what is fast.
//!
//! `cargo bench -p explore`

#[path = "../../shared/columns/tests/minute/uniform.rs"]
mod uniform;

use std::fs::{File, create_dir_all};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use columns::{Block, seal};
use explore::{Explore, KEPT_BYTES};
use function::{Call, Function, Reply, Request};
use http::{HeaderMap, HeaderValue, Method, header};
use model::{Action, BucketStart};
use serde_json::{Value, json};
use store::{MinuteStore, Swap};
use store_embedded::EmbeddedStore;
use uniform::{Tag, USUAL};

/// As `allezon` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2022-03-22T00:00Z.
const FIRST_MINUTE: i64 = 27_465_120;
const MINUTES: i64 = 24 * 60;
const TIME_RANGE: &str = "2022-03-22T00:00:00_2022-03-23T00:00:00";
/// Each question is asked so often; the first time does not count.
const TIMES: usize = 6;

fn main() {
    // Cargo adds `--bench`.
    let directory: Option<PathBuf> =
        std::env::args().skip(1).find(|word| !word.starts_with("--")).map(PathBuf::from);
    let kept = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(kept.path(), directory.as_deref()));
}

async fn run(kept: &Path, directory: Option<&Path>) {
    if let Some(directory) = directory {
        create_dir_all(directory).expect("a directory");
    }
    let store = EmbeddedStore::open(kept, Default::default()).expect("the store opens");
    let mut tags =
        directory.map(|directory| BufWriter::new(File::create(directory.join("tags.bin")).expect("a file")));
    for minute in 0..MINUTES {
        add_minute(&store, minute).await;
        if let Some(tags) = &mut tags {
            uniform::tags(&USUAL, minute as u64)
                .iter()
                .for_each(|tag| write(tags, minute, tag).expect("the disk takes it"));
        }
        if minute % 60 == 59 {
            eprintln!("{} of 24 hours", (minute + 1) / 60);
        }
    }
    drop(tags);
    let (reading, keeping) = (Explore::new(store.clone(), 0), Explore::new(store, KEPT_BYTES));
    let questions: Vec<Value> =
        serde_json::from_str(include_str!("questions.json")).expect("the questions are JSON");
    for (number, question) in questions.iter().enumerate() {
        let (_, read_ms) = ask(&reading, &question["question"]).await;
        let (answer, kept_ms) = ask(&keeping, &question["question"]).await;
        println!("{}", json!({"name": question["name"], "read_ms": read_ms, "kept_ms": kept_ms}));
        if let Some(directory) = directory {
            std::fs::write(directory.join(format!("answer-{number}.csv")), answer)
                .expect("the disk takes it");
        }
    }
}

/// As the aggregate-worker and the sealer leave it.
async fn add_minute(store: &EmbeddedStore, minute: i64) {
    let blocks: Vec<Block> = uniform::blocks(&USUAL, minute as u64);
    let sealing = store.begin_seal(BucketStart::from_minutes(FIRST_MINUTE + minute)).await.expect("begins");
    let mut chunks = vec![];
    for action in Action::ALL {
        let sealed = seal(action, &[], &blocks).expect("good blocks");
        chunks.extend(sealed.chunks.into_iter().map(|chunk| (action, Bytes::from(chunk))));
    }
    let swap =
        Swap { bucket: sealing.bucket, token: sealing.token, merged: vec![], replaced: vec![], chunks };
    assert!(store.swap(swap).await.expect("swaps"));
}

/// ClickHouse's RowBinary: what a name begins with is left to the reader.
fn write(out: &mut impl Write, minute: i64, tag: &Tag) -> std::io::Result<()> {
    let number = |name: &str| -> u16 {
        name.trim_start_matches(|letter: char| !letter.is_ascii_digit())
            .parse()
            .expect("names end in a number")
    };
    out.write_all(&((FIRST_MINUTE + minute) as u32 * 60).to_le_bytes())?;
    out.write_all(&[tag.action.code(), tag.device.code()])?;
    for name in &tag.names {
        out.write_all(&number(name).to_le_bytes())?;
    }
    out.write_all(&tag.price.to_le_bytes())
}

/// The answer, and the median of the times that it took.
async fn ask(function: &Explore<EmbeddedStore>, question: &Value) -> (Bytes, f64) {
    let mut question = question.clone();
    question["time_range"] = TIME_RANGE.into();
    let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/csv"))]);
    let (mut answer, mut took) = (Bytes::new(), vec![]);
    for _ in 0..TIMES {
        let request = Request {
            method: Method::POST,
            route: "/explore",
            segment: String::new(),
            query: String::new(),
            headers: headers.clone(),
            body: question.to_string().into(),
        };
        let started = Instant::now();
        let Ok(Reply::Document(document)) = function.call(Call::Http(request)).await else {
            panic!("no answer to {question}")
        };
        took.push(started.elapsed());
        answer = document.body;
    }
    let mut took = took.split_off(1);
    took.sort_unstable();
    (answer, took[took.len() / 2].as_secs_f64() * 1_000.0)
}
