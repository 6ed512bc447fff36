//! A backup as text.

use std::io::{BufRead, Read, Write};

use cloudevents::{Data, Event};
use model::batch::data_bytes;
use serde::{Deserialize, Serialize};

use super::{Error, Summary};
use crate::name_log::SeenNames;

/// The version of the format that is written, and the newest that is read.
const VERSION: u64 = 1;
/// The longest line that is read: twice what the log takes for an event.
const MAX_LINE_BYTES: u64 = 2 * 1024 * 1024;

/// What stands in the last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    version: u64,
    records: u64,
    names: u64,
    /// BLAKE3 over all lines before it, with their ends, as hexadecimal digits.
    checksum: String,
}

/// A backup that is being written.
pub(super) struct Writer<W> {
    out: W,
    hasher: blake3::Hasher,
    summary: Summary,
}

/// A backup that is being read.
pub(super) struct Reader<R> {
    file: R,
    hasher: blake3::Hasher,
    summary: Summary,
    line: u64,
}

impl Summary {
    fn add(&mut self, seen: &SeenNames) {
        self.records += 1;
        self.names += seen.names.len() as u64;
    }
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, hasher: blake3::Hasher::new(), summary: Summary::default() }
    }

    /// What was written so far.
    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    pub(super) fn record(&mut self, seen: &SeenNames) -> Result<(), Error> {
        let line = line(&structured(seen.to_event()));
        self.hasher.update(&line);
        self.out.write_all(&line)?;
        self.summary.add(seen);
        Ok(())
    }

    /// Writes the last line.
    pub(super) fn end(mut self) -> Result<Summary, Error> {
        let Summary { records, names } = self.summary;
        let checksum = self.hasher.finalize().to_hex().to_string();
        self.out.write_all(&line(&Last { version: VERSION, records, names, checksum }))?;
        self.out.flush()?;
        Ok(self.summary)
    }
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(file: R) -> Self {
        Self { file, hasher: blake3::Hasher::new(), summary: Summary::default(), line: 0 }
    }

    /// What was read so far.
    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    /// The line that was read last, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next record; none where the last line follows, and is right.
    pub(super) fn next(&mut self) -> Result<Option<SeenNames>, Error> {
        let line = self.read_line()?;
        if let Ok(last) = serde_json::from_slice::<Last>(&line) {
            return self.check(&last).map(|()| None);
        }
        self.hasher.update(&line);
        let event: Event = serde_json::from_slice(&line).map_err(|error| self.damaged(error.to_string()))?;
        let seen = SeenNames::from_event(&event).map_err(|error| self.damaged(error.to_string()))?;
        self.summary.add(&seen);
        Ok(Some(seen))
    }

    fn read_line(&mut self) -> Result<Vec<u8>, Error> {
        self.line += 1;
        let mut line = Vec::new();
        (&mut self.file).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        match line.last() {
            Some(b'\n') => Ok(line),
            Some(_) if line.len() as u64 == MAX_LINE_BYTES => Err(self.damaged("is longer than any record")),
            _ => Err(self.damaged("the file ends here, and not with its last line: a part is missing")),
        }
    }

    fn check(&mut self, last: &Last) -> Result<(), Error> {
        let Summary { records, names } = self.summary;
        if last.version != VERSION {
            let version = last.version;
            return Err(self.damaged(format!("format version {version}; this release knows {VERSION}")));
        }
        if (last.records, last.names) != (records, names) {
            return Err(self.damaged(format!("says {} records, there are {records}", last.records)));
        }
        if last.checksum != self.hasher.finalize().to_hex().as_str() {
            return Err(self.damaged("the checksum does not match: something was changed"));
        }
        if !self.file.fill_buf()?.is_empty() {
            return Err(self.damaged("something follows, and this is the last line"));
        }
        Ok(())
    }

    fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::Damaged { line: self.line, reason: reason.into() }
    }
}

/// With its data as JSON and not as encoded bytes, so that a person can read it.
fn structured(event: Event) -> Event {
    let mut event = event;
    let data = serde_json::from_slice(&data_bytes(&event)).expect("a record of names is JSON");
    event.set_data_unchecked(Data::Json(data));
    event
}

fn line(what: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(what).expect("an event is JSON");
    line.push(b'\n');
    line
}
