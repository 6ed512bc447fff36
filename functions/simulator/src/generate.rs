//! `simulator generate`: writes a stream to a file that `replay` posts.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::progress::Progress;
use crate::quantities::duration;
use crate::recording::Sink;
use crate::stream::{MAX_TAGS, Shape, Stream};

/// Tags from one look at the progress to the next.
const TAGS_A_LOOK: u32 = 10_000;

/// The options of `generate`.
#[derive(Debug, Clone, Args)]
pub struct GenerateOptions {
    /// File to write, compressed when it ends in .gz or .zst; - is standard output
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// The stream
    #[command(flatten)]
    pub shape: Shape,
    /// How many tags
    #[arg(long, value_name = "TAGS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_TAGS)))]
    pub count: u32,
    /// As many tags as fit in this logical time, one a millisecond
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "count")]
    pub duration: Option<Duration>,
}

/// Writes the file.
pub fn run(options: &GenerateOptions) -> anyhow::Result<ExitCode> {
    let count = match options.duration {
        None => options.count,
        Some(duration) => u32::try_from(duration.as_millis()).unwrap_or(u32::MAX).min(MAX_TAGS),
    };
    let stream = Stream::new(options.shape.clone(), 1);
    match write(&stream, count, &options.file) {
        // Whoever read our standard output has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => {
            result.with_context(|| format!("cannot write {}", options.file.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Writes the stream's first tags.
pub fn write(stream: &Stream, count: u32, file: &Path) -> io::Result<()> {
    let mut sink = Sink::create(file)?;
    let mut progress = Progress::new(u64::from(count));
    let mut line = String::with_capacity(512);
    for number in 0..count {
        line.clear();
        stream.push_json(&mut line, &stream.tag(number));
        line.push('\n');
        sink.write_all(line.as_bytes())?;
        if number % TAGS_A_LOOK == 0 && progress.is_due() {
            progress.show(u64::from(number), "tags written");
        }
    }
    progress.finish();
    sink.finish()
}
