//! The log's load, on each of the libraries that could carry it: groups of some size, each synced before the next.
//!
//! ```text
//! cargo bench -p event-log-embedded --bench append [-- GROUP_BYTES MEGABYTES]
//! ```
//!
//! `file` appends to a plain file and syncs it: what the disk gives. `fjall` and `redb` keep the groups in a tree from
//! position to bytes, one commit each. `log` is what we made of it, `log, unsynced` the same that only survives a kill. A
//! process of its own runs each, in turns, and ends without closing anything; another one opens what it left. Compare
//! within one run: disks are moody. Processor times are of the whole process, read and written bytes as the kernel counts.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, exit};
use std::time::{Duration, Instant};

use cloudevents::{EventBuilder, EventBuilderV10};
use event_log::{Append as _, EventLog as _};
use event_log_embedded::{Durability, EmbeddedLog, Options};
use redb::{ReadableDatabase, ReadableTableMetadata};
use tokio::runtime::Runtime;

const CANDIDATES: [&str; 5] = ["file", "fjall", "redb", "log", "log, unsynced"];
const TURNS: usize = 3;
const GROUP_BYTES: usize = 60_000;
/// So that all fits in one journal of fjall's, as a segment would.
const MEGABYTES: usize = 60;

const TABLE: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("log");
const CACHE_BYTES: usize = 4 * 1024 * 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["append", candidate, directory, group, count] => {
            let group = group.parse().expect("a number of bytes");
            append(candidate, Path::new(directory), group, count.parse().expect("a number of groups"));
        }
        ["open", candidate, directory] => open(candidate, Path::new(directory)),
        ref sizes => {
            let size = |at: usize, or: usize| sizes.get(at).map_or(or, |size| size.parse().expect("a size"));
            let group = size(0, GROUP_BYTES);
            compare(group, size(1, MEGABYTES) * 1_000_000 / group);
        }
    }
}

fn compare(group: usize, count: usize) {
    println!("{count} groups of {group} bytes");
    println!(
        "| | MB/s | groups/s | p50 ms | p99 ms | CPU ms/MB | written | peak MiB | open ms | CPU ms | MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for _ in 0..TURNS {
        for candidate in CANDIDATES {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().to_str().expect("a plain path");
            let appended = again(&["append", candidate, path, &group.to_string(), &count.to_string()]);
            let opened = again(&["open", candidate, path]);
            println!("| {candidate} | {appended} | {opened} |");
        }
    }
}

/// Runs this program again, as a process of its own, and gives back what it says.
fn again(arguments: &[&str]) -> String {
    let output = Command::new(std::env::current_exe().expect("our own path")).args(arguments).output();
    let output = output.expect("this program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn append(candidate: &str, directory: &Path, group: usize, count: usize) {
    // No two groups are the same, and nothing can be compressed.
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let bytes: Vec<u8> = (0..group).map(|_| random()).collect();
    let mut write = writer(candidate, directory);
    let (written, started, spent) = (written_bytes(), Instant::now(), processor());
    let mut times = Vec::with_capacity(count);
    for number in 0..count as u64 {
        let begin = Instant::now();
        write(number, &bytes);
        times.push(begin.elapsed());
    }
    let (wall, spent) = (started.elapsed(), processor() - spent);
    let megabytes = (group * count) as f64 / 1e6;
    times.sort();
    let percentile = |percent: usize| times[(count * percent / 100).min(count - 1)].as_secs_f64() * 1e3;
    print!(
        "{:.1} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2}x | {}",
        megabytes / wall.as_secs_f64(),
        count as f64 / wall.as_secs_f64(),
        percentile(50),
        percentile(99),
        spent.as_secs_f64() * 1e3 / megabytes,
        (written_bytes() - written) as f64 / 1e6 / megabytes,
        memory("VmHWM"),
    );
    std::io::stdout().flush().expect("standard output");
    // As if killed: nothing is closed.
    exit(0);
}

type Append = Box<dyn FnMut(u64, &[u8])>;

fn writer(candidate: &str, directory: &Path) -> Append {
    match candidate {
        "file" => {
            let mut file = File::create(directory.join("file")).expect("a file");
            Box::new(move |_, bytes| {
                file.write_all(bytes).expect("write");
                file.sync_data().expect("sync");
            })
        }
        "fjall" => {
            let (database, keyspace) = fjall(directory);
            Box::new(move |number, bytes| {
                let mut batch = database.batch().durability(Some(fjall::PersistMode::SyncData));
                batch.insert(&keyspace, number.to_be_bytes(), bytes);
                batch.commit().expect("commit");
            })
        }
        "redb" => {
            let database = redb::Builder::new().set_cache_size(CACHE_BYTES).create(directory.join("redb"));
            let database = database.expect("a database");
            Box::new(move |number, bytes| {
                let transaction = database.begin_write().expect("a transaction");
                transaction.open_table(TABLE).expect("a table").insert(number, bytes).expect("insert");
                transaction.commit().expect("commit");
            })
        }
        _ => {
            let (runtime, log) = (runtime(), log(candidate, directory));
            Box::new(move |number, bytes| {
                let event = EventBuilderV10::new().id(number.to_string()).source("/bench").ty("bench");
                let event = event.data("application/octet-stream", bytes.to_vec()).build().expect("an event");
                runtime.block_on(log.append(event)).expect("append");
            })
        }
    }
}

fn open(candidate: &str, directory: &Path) {
    let (started, spent) = (Instant::now(), processor());
    match candidate {
        "file" => drop(File::open(directory.join("file")).expect("a file")),
        "fjall" => {
            let (_database, keyspace) = fjall(directory);
            assert!(keyspace.get(0_u64.to_be_bytes()).expect("get").is_some());
            report_open(started, spent);
        }
        "redb" => {
            let database = redb::Builder::new().set_cache_size(CACHE_BYTES).open(directory.join("redb"));
            let database = database.expect("a database");
            let table = database.begin_read().expect("a transaction").open_table(TABLE).expect("a table");
            assert!(table.len().expect("a length") > 0);
            report_open(started, spent);
        }
        _ => {
            let log = log(candidate, directory);
            assert!(runtime().block_on(log.bounds()).expect("bounds").end.0 > 0);
            report_open(started, spent);
        }
    }
    report_open(started, spent);
}

fn report_open(started: Instant, spent: Duration) -> ! {
    let (wall, spent) = (started.elapsed().as_secs_f64() * 1e3, (processor() - spent).as_secs_f64() * 1e3);
    print!("{wall:.1} | {spent:.1} | {}", memory("VmRSS"));
    std::io::stdout().flush().expect("standard output");
    exit(0);
}

/// As a segment would be: all in the journal, nothing rewritten.
fn fjall(directory: &Path) -> (fjall::Database, fjall::Keyspace) {
    let database = fjall::Database::builder(directory).worker_threads(1).cache_size(CACHE_BYTES as u64);
    let database = database.journal_compression(fjall::CompressionType::None).open().expect("a database");
    let options = || fjall::KeyspaceCreateOptions::default().max_memtable_size(256 << 20);
    let keyspace = database.keyspace("log", options).expect("a keyspace");
    (database, keyspace)
}

fn log(candidate: &str, directory: &Path) -> EmbeddedLog {
    let durability = if candidate == "log" { Durability::Disk } else { Durability::Process };
    EmbeddedLog::open(directory, Options { durability, ..Options::default() }).expect("a log")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Time of all processors that this process took.
fn processor() -> Duration {
    let nanos = |line: &str| line.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0);
    let tasks = fs::read_dir("/proc/self/task").expect("the tasks of this process");
    let times = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
    Duration::from_nanos(times.map(|line| nanos(&line)).sum())
}

fn written_bytes() -> u64 {
    field("/proc/self/io", "write_bytes")
}

/// In MiB.
fn memory(what: &str) -> u64 {
    field("/proc/self/status", what) / 1024
}

fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).expect("what the kernel tells");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("such a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
