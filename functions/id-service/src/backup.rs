//! Backup and restore of the log of names: the one thing that cannot be rebuilt from anything else.
//!
//! A backup is text: one CloudEvent in structured JSON a line, in the order of the log, and a last line that says how many
//! there are and has a checksum over all of them. It can be read, searched and copied by anything. Numbers follow from the
//! order alone, so a log that was restored gives the same ones.
//!
//! A backup may be made while an id-service runs: it holds what the log held at its beginning. During a restore nobody else
//! may append; that it was so is found out at the end.

mod file;
mod records;
#[cfg(test)]
mod tests;

use std::io::{BufRead, Seek, SeekFrom, Write};

use event_log::EventLog;
use thiserror::Error;

use crate::name_log::SeenNames;
use file::{Reader, Writer};
use records::Records;

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Its records, each with some names.
    pub records: u64,
    /// Occurrences of names, repeats included.
    pub names: u64,
}

/// Why there is no backup, or no restored log.
#[derive(Debug, Error)]
pub enum Error {
    /// The log does not do what it is asked for. A restore may be repeated: it goes on where it was.
    #[error("the log of names: {0}")]
    Log(#[source] event_log::Error),
    /// The log holds what cannot be read, or begins in the middle.
    #[error("the log of names at {position}: {reason}")]
    Unreadable {
        /// Where.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The file cannot be read or written.
    #[error("the backup")]
    File(#[from] std::io::Error),
    /// The file is not what was written: a part is missing, or something was changed.
    #[error("the backup, line {line}: {reason}")]
    Damaged {
        /// Which line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The log holds something else than the backup. Restore into an empty one.
    #[error(
        "the log at {position} holds names that are not in the backup at line {line}: restore into an empty log"
    )]
    Another {
        /// Where in the log.
        position: u64,
        /// Which line of the file.
        line: u64,
    },
}

/// Writes every record that the log holds now, and tells `progress` after each one.
///
/// What was written is a backup only after this has returned: without its last line no restore takes it.
pub async fn backup(
    log: &impl EventLog,
    out: &mut impl Write,
    mut progress: impl FnMut(Summary),
) -> Result<Summary, Error> {
    let mut records = Records::open(log).await?;
    let mut writer = Writer::new(out);
    while let Some((_, seen)) = records.next().await? {
        writer.record(&seen)?;
        progress(writer.summary());
    }
    writer.end()
}

/// Reads a backup to its end: it is whole, and all of it can be restored.
pub fn verify(file: &mut impl BufRead) -> Result<Summary, Error> {
    let mut reader = Reader::new(file);
    while reader.next()?.is_some() {}
    Ok(reader.summary())
}

/// Appends every record of a backup to an empty log, and tells `progress` after each one. Then the log is read back.
///
/// The file is read to its end first: nothing of a damaged one is appended. A log that holds the beginning of the backup was
/// left by a restore that did not end, and gets the rest. Any other log is left as it is.
pub async fn restore(
    log: &impl EventLog,
    file: &mut (impl BufRead + Seek),
    mut progress: impl FnMut(Summary),
) -> Result<Summary, Error> {
    let whole = verify(file)?;
    file.seek(SeekFrom::Start(0))?;
    let mut reader = Reader::new(&mut *file);
    let mut next = compare(log, &mut reader).await?;
    while let Some(seen) = next {
        log.append(seen.to_event()).await.map_err(Error::Log)?;
        progress(reader.summary());
        next = reader.next()?;
    }
    file.seek(SeekFrom::Start(0))?;
    let mut reader = Reader::new(file);
    match compare(log, &mut reader).await? {
        None => Ok(whole),
        Some(_) => {
            let reason = "it ends before the backup, though everything was appended".to_owned();
            Err(Error::Log(event_log::Error::Damaged(reason)))
        }
    }
}

/// Reads the log and the file side by side, as far as the log goes, and gives the file's next record.
///
/// A record may stand in the log twice, since who appends it again cannot know whether it is there. The second one numbers
/// nothing.
async fn compare(log: &impl EventLog, reader: &mut Reader<impl BufRead>) -> Result<Option<SeenNames>, Error> {
    let mut records = Records::open(log).await?;
    let mut last = None;
    let mut next = reader.next()?;
    while let Some((position, seen)) = records.next().await? {
        if next.as_ref() == Some(&seen) {
            last = next.replace(seen);
            next = reader.next()?;
        } else if last.as_ref() != Some(&seen) {
            return Err(Error::Another { position: position.0, line: reader.line() });
        }
    }
    Ok(next)
}
