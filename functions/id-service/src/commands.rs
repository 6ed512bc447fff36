//! Backup and restore at a person's command: the file, and what is told meanwhile.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use event_log::EventLog;
use id_service::backup::{self, Summary};

/// How often a line is told.
const LINE_PERIOD: Duration = Duration::from_secs(2);

/// Writes a backup beside the file, and only a whole one takes its place.
pub(crate) async fn backup(log: &impl EventLog, file: &Path) -> anyhow::Result<()> {
    let new = beside(file)?;
    let cannot = || format!("cannot write {}", new.display());
    let mut out = BufWriter::new(File::create(&new).with_context(cannot)?);
    let written = async {
        let summary = backup::backup(log, &mut out, told("written")).await?;
        out.flush().with_context(cannot)?;
        out.get_ref().sync_all().with_context(cannot)?;
        std::fs::rename(&new, file).with_context(|| format!("cannot rename {}", new.display()))?;
        anyhow::Ok(summary)
    };
    let outcome = written.await;
    if outcome.is_err() {
        // A part of a backup is of no use to anybody.
        let _ = std::fs::remove_file(&new);
    }
    let summary = outcome?;
    File::open(directory(file))
        .and_then(|directory| directory.sync_all())
        .context("cannot sync the directory")?;
    println!("{} holds {}", file.display(), words(summary));
    Ok(())
}

/// Fills an empty log from a file.
pub(crate) async fn restore(log: &impl EventLog, file: &Path) -> anyhow::Result<()> {
    let opened = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let summary = backup::restore(log, &mut BufReader::new(opened), told("appended")).await?;
    println!("the log holds all of {}: {}", file.display(), words(summary));
    Ok(())
}

/// The same file with another name.
fn beside(file: &Path) -> anyhow::Result<PathBuf> {
    ensure!(!file.is_dir(), "{} is a directory", file.display());
    let mut name = file.file_name().with_context(|| format!("{} names no file", file.display()))?.to_owned();
    name.push(".new");
    Ok(file.with_file_name(name))
}

fn directory(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Tells now and then how far it is.
fn told(what: &'static str) -> impl FnMut(Summary) {
    let mut last = Instant::now();
    move |summary| {
        if last.elapsed() >= LINE_PERIOD {
            last = Instant::now();
            eprintln!("{what}: {}", words(summary));
        }
    }
}

fn words(summary: Summary) -> String {
    format!("{} records with {} names", summary.records, summary.names)
}
