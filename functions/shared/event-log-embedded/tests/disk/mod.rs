//! Events that can be told apart, and a disk that forgets.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloudevents::{AttributesReader, Event, EventBuilder, EventBuilderV10};
use event_log::{Append, Error, EventLog, Position};
use event_log_embedded::{EmbeddedLog, Hook, Step};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// An event that can be told from others by its id.
pub(crate) fn numbered(id: u64, bytes: usize) -> Event {
    let event = EventBuilderV10::new().id(id.to_string()).source("/test").ty("test");
    event.data("application/octet-stream", vec![id as u8; bytes]).build().unwrap()
}

pub(crate) async fn append(log: &EmbeddedLog, id: u64, bytes: usize) -> Result<Position, Error> {
    log.append(numbered(id, bytes)).await
}

/// The ids of all that is in the log.
pub(crate) async fn ids(log: &EmbeddedLog) -> Vec<u64> {
    let (mut next, mut ids) = (Position::default(), Vec::new());
    loop {
        let events = log.read(next, 100_000, Duration::ZERO).await.unwrap();
        let Some(last) = events.last() else { return ids };
        next = last.next;
        ids.extend(events.iter().map(|recorded| recorded.event.id().parse::<u64>().unwrap()));
    }
}

/// The files of a directory as they are now, as far as the processes of this machine are concerned.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        match fs::copy(&path, to.join(path.file_name().unwrap())) {
            // Housekeeping renamed or removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => {
                other?;
            }
        }
    }
    Ok(())
}

/// What a disk is allowed to forget.
const SECTOR_BYTES: usize = 512;

/// Follows what the log does, remembers what is durable and what is not, and lets the power fail at a given step: that and
/// all later steps fail.
pub(crate) struct ShadowDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    random: StdRng,
    steps_left: u32,
    /// By name, as the directory stands durably.
    durable_names: BTreeMap<OsString, usize>,
    names: BTreeMap<OsString, usize>,
    files: Vec<ShadowFile>,
}

#[derive(Default)]
struct ShadowFile {
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

enum Pending {
    Write(u64, Vec<u8>),
    Resize(u64),
}

impl ShadowDisk {
    /// Begins with what is in the directory, all of it durable.
    pub(crate) fn new(seed: u64, steps: u32, directory: &Path) -> Self {
        let mut state = State {
            random: StdRng::seed_from_u64(seed),
            steps_left: steps,
            durable_names: BTreeMap::new(),
            names: BTreeMap::new(),
            files: Vec::new(),
        };
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            state.names.insert(path.file_name().unwrap().to_owned(), state.files.len());
            state.files.push(ShadowFile { durable: fs::read(&path).unwrap(), pending: Vec::new() });
        }
        state.durable_names = state.names.clone();
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn hook(&self) -> Hook {
        let state = Arc::clone(&self.state);
        Arc::new(move |step| state.lock().unwrap().step(step))
    }

    /// Writes what is left to a directory.
    pub(crate) fn after_power_loss(&self, directory: &Path) {
        let mut state = self.state.lock().unwrap();
        // A name that was not made durable may have been, or not.
        let names = if state.random.random() { state.names.clone() } else { state.durable_names.clone() };
        for (name, index) in names {
            let bytes = state.remains(index);
            fs::write(directory.join(name), bytes).unwrap();
        }
    }
}

impl State {
    fn step(&mut self, step: Step<'_>) -> io::Result<()> {
        if self.steps_left == 0 {
            return Err(io::Error::other("the power failed"));
        }
        self.steps_left -= 1;
        let name = |path: &Path| path.file_name().unwrap().to_owned();
        match step {
            Step::Create(path) => {
                self.files.push(ShadowFile::default());
                self.names.insert(name(path), self.files.len() - 1);
            }
            Step::Resize(path, len) => self.file(path).pending.push(Pending::Resize(len)),
            Step::Write(path, offset, bytes) => {
                self.file(path).pending.push(Pending::Write(offset, bytes.to_vec()));
            }
            Step::Synced(path) => {
                let file = self.file(path);
                for pending in std::mem::take(&mut file.pending) {
                    pending.apply(&mut file.durable);
                }
            }
            Step::Rename(from, to) => {
                let index = self.names.remove(&name(from)).unwrap();
                self.names.insert(name(to), index);
                // The log goes on with the name that it made the file with.
                self.names.insert(name(from), index);
            }
            Step::Renamed(_) => {
                let names = self.names.clone();
                self.durable_names =
                    names.into_iter().filter(|(name, _)| !name.to_str().unwrap().ends_with(".new")).collect();
            }
            Step::Remove(path) => {
                self.names.remove(&name(path));
            }
            Step::Sync(_) | Step::Answer => {}
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> &mut ShadowFile {
        let index = self.names[path.file_name().unwrap()];
        &mut self.files[index]
    }

    fn remains(&mut self, index: usize) -> Vec<u8> {
        let mut bytes = self.files[index].durable.clone();
        let pending = std::mem::take(&mut self.files[index].pending);
        for pending in &pending {
            match pending {
                Pending::Resize(_) => pending.apply(&mut bytes),
                Pending::Write(offset, data) => {
                    for (nth, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                        if self.random.random() {
                            Pending::Write(offset + (nth * SECTOR_BYTES) as u64, sector.to_vec())
                                .apply(&mut bytes);
                        }
                    }
                }
            }
        }
        bytes
    }
}

impl Pending {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Resize(len) => bytes.resize(*len as usize, 0),
            Self::Write(offset, data) => {
                let (from, to) = (*offset as usize, *offset as usize + data.len());
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                bytes[from..to].copy_from_slice(data);
            }
        }
    }
}
