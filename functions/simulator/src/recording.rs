//! Files of user tags, one JSON object a line: plain, gzip or zstd. Reading knows them by their first bytes, writing by
//! the end of their name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// The longest line: more than any target takes as a body.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// The name that means standard input or output.
const STANDARD: &str = "-";

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A recording that is being read.
pub struct Recording {
    reader: Box<dyn BufRead + Send>,
    number: u64,
    /// Size of the file, where it has one.
    pub total_bytes: Option<u64>,
    /// Bytes of the file that were read so far, before decompression.
    pub read_bytes: Arc<AtomicU64>,
}

/// A line of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number; the first is 1.
    pub number: u64,
    /// Its text, without the end of the line.
    pub text: Vec<u8>,
    /// It was longer than the limit, and is cut.
    pub is_cut: bool,
}

impl Recording {
    /// Opens a file, or standard input for `-`.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new(STANDARD) {
            return Self::new(io::stdin(), None);
        }
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Self::new(file, Some(bytes))
    }

    fn new(source: impl Read + Send + 'static, total_bytes: Option<u64>) -> io::Result<Self> {
        let read_bytes = Arc::new(AtomicU64::new(0));
        let mut source = Counting { source, read_bytes: Arc::clone(&read_bytes) };
        let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
        source.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
        let is = |known: &[u8]| magic.starts_with(known);
        let (is_gzip, is_zstd) = (is(&GZIP_MAGIC), is(&ZSTD_MAGIC));
        let whole = Cursor::new(magic).chain(source);
        let reader: Box<dyn BufRead + Send> = if is_gzip {
            Box::new(BufReader::new(MultiGzDecoder::new(BufReader::new(whole))))
        } else if is_zstd {
            Box::new(BufReader::new(zstd::Decoder::new(whole)?))
        } else {
            Box::new(BufReader::new(whole))
        };
        Ok(Self { reader, number: 0, total_bytes, read_bytes })
    }

    /// The next line that is not blank; `None` at the end.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            let mut text = Vec::new();
            if self.reader.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut text)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            let is_cut = text.len() as u64 > MAX_LINE_BYTES && !text.ends_with(b"\n");
            if is_cut {
                self.reader.skip_until(b'\n')?;
            }
            text.truncate(text.trim_ascii_end().len());
            if !text.is_empty() {
                return Ok(Some(Line { number: self.number, text, is_cut }));
            }
        }
    }
}

/// Counts what passes.
struct Counting<R> {
    source: R,
    read_bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A recording that is being written; [`Sink::finish`] completes it.
pub enum Sink {
    /// Without compression.
    Plain(BufWriter<Box<dyn Write>>),
    /// Name ends in `.gz`.
    Gzip(BufWriter<GzEncoder<Box<dyn Write>>>),
    /// Name ends in `.zst`.
    Zstd(BufWriter<zstd::Encoder<'static, Box<dyn Write>>>),
}

impl Sink {
    /// Creates a file, or writes to standard output for `-`.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path == Path::new(STANDARD) {
            return Ok(Self::Plain(BufWriter::new(Box::new(io::stdout()))));
        }
        let file: Box<dyn Write> = Box::new(File::create(path)?);
        Ok(match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip(BufWriter::new(GzEncoder::new(file, Compression::default()))),
            Some("zst") => {
                Self::Zstd(BufWriter::new(zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?))
            }
            _ => Self::Plain(BufWriter::new(file)),
        })
    }

    /// Writes everything out.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut plain) => plain.flush(),
            Self::Gzip(gzip) => gzip.into_inner()?.finish()?.flush(),
            Self::Zstd(zstd) => zstd.into_inner()?.finish()?.flush(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.write(bytes),
            Self::Gzip(gzip) => gzip.write(bytes),
            Self::Zstd(zstd) => zstd.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.flush(),
            Self::Gzip(gzip) => gzip.flush(),
            Self::Zstd(zstd) => zstd.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(recording: &mut Recording) -> Vec<(u64, String, bool)> {
        std::iter::from_fn(|| recording.next_line().unwrap())
            .map(|line| (line.number, String::from_utf8(line.text).unwrap(), line.is_cut))
            .collect()
    }

    #[test]
    fn every_form_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a.json", "a.json.gz", "a.json.zst"] {
            let path = directory.path().join(name);
            let mut sink = Sink::create(&path).unwrap();
            sink.write_all(b"{\"a\":1}\n\n  \r\n{\"b\":2}\r\nlast").unwrap();
            sink.finish().unwrap();
            let mut recording = Recording::open(&path).unwrap();
            let expected = [(1, "{\"a\":1}"), (4, "{\"b\":2}"), (5, "last")];
            assert_eq!(
                lines(&mut recording),
                expected.map(|(number, text)| (number, text.to_owned(), false))
            );
            assert_eq!(recording.read_bytes.load(Ordering::Relaxed), recording.total_bytes.unwrap());
        }
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_the_next_one_read() {
        let mut bytes = vec![b'x'; 3 << 20];
        bytes.extend(b"\nnext\n");
        let mut recording = Recording::new(Cursor::new(bytes), None).unwrap();
        let lines = lines(&mut recording);
        assert_eq!((lines.len(), lines[0].2, lines[1].1.as_str()), (2, true, "next"));
    }

    #[test]
    fn short_and_empty_files_are_read() {
        for (bytes, count) in [(&b""[..], 0), (b"\n", 0), (b"{}", 1)] {
            assert_eq!(lines(&mut Recording::new(Cursor::new(bytes), None).unwrap()).len(), count);
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_not_an_end() {
        let mut damaged = GZIP_MAGIC.to_vec();
        damaged.extend([8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]);
        assert!(Recording::new(Cursor::new(damaged), None).unwrap().next_line().is_err());
    }
}
