//! The library's journals, looked at from outside.
//!
//! A journal is a file `<number>.jnl` of batches one behind the other, and zeros for room behind them. The library reads
//! it up to the first batch that does not fit. It refuses to open, though, where a batch has its ends but not its middle,
//! as a power cut may leave one that was not synced; and it believes what it reads back after a failed sync. So the part
//! that is whole is found here first.
//!
//! A batch is a start (tag 1, count of items: u32, sequence number: u64), the items (tag 2, two bytes of kind, tree: u64,
//! length of the key: u16, of the value: u32, and as stored: u32, key, value) and an end (tag 3, XXH3 of the items: u64,
//! four bytes of magic), all numbers little-endian.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const START_BYTES: usize = 13;
const ITEM_HEAD_BYTES: usize = 21;
const END_BYTES: usize = 13;
const MAGIC: &[u8] = b"FJL\x03";
const READ_BYTES: usize = 256 * 1_024;

/// Cuts off what a crash left of an unfinished write at the end of the newest journal. Older ones were synced before the
/// next began.
pub(crate) fn mend(database: &Path) -> io::Result<()> {
    let Some(newest) = journals(database)?.pop() else { return Ok(()) };
    let whole = whole_bytes(&newest)?;
    let file = OpenOptions::new().write(true).open(&newest)?;
    file.set_len(whole)?;
    file.sync_all()
}

/// Writes the whole part of each journal anew: after a failed sync, what can be read may not be on the disk.
pub(crate) fn renew(database: &Path) -> io::Result<()> {
    for journal in journals(database)? {
        let fresh = journal.with_extension("new");
        copy_whole(&journal, &fresh).inspect_err(|_| {
            // It may be the room for it that is missing.
            let _ = fs::remove_file(&fresh);
        })?;
        fs::rename(&fresh, &journal)?;
    }
    if database.exists() {
        File::open(database)?.sync_all()?;
    }
    Ok(())
}

fn copy_whole(journal: &Path, fresh: &Path) -> io::Result<()> {
    let mut file = File::create(fresh)?;
    io::copy(&mut File::open(journal)?.take(whole_bytes(journal)?), &mut file)?;
    file.sync_all()
}

/// Syncs the journal that is being written, without holding up who writes to it.
pub(crate) fn sync_newest(database: &Path) -> io::Result<()> {
    let Some(newest) = journals(database)?.pop() else { return Ok(()) };
    match File::open(newest) {
        Ok(file) => file.sync_data(),
        // Flushed and let go meanwhile.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// The journals, oldest first.
pub(crate) fn journals(database: &Path) -> io::Result<Vec<PathBuf>> {
    if !database.exists() {
        return Ok(Vec::new());
    }
    let mut numbered = Vec::new();
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
        let number =
            path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let (true, Some(number)) = (is_journal, number) {
            numbered.push((number, path));
        }
    }
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}

/// How much of a journal, from its beginning, is whole batches.
pub(crate) fn whole_bytes(journal: &Path) -> io::Result<u64> {
    let file = File::open(journal)?;
    let mut batches = Batches {
        rest: file.metadata()?.len(),
        file: BufReader::with_capacity(READ_BYTES, file),
        item: Vec::new(),
    };
    let mut whole = 0;
    while let Some(bytes) = batches.next_bytes()? {
        whole += bytes;
    }
    Ok(whole)
}

/// The batches of a journal.
struct Batches {
    file: BufReader<File>,
    rest: u64,
    item: Vec<u8>,
}

impl Batches {
    /// The size of the next batch, if it is whole.
    fn next_bytes(&mut self) -> io::Result<Option<u64>> {
        let before = self.rest;
        let Some(start) = self.read::<START_BYTES>()? else { return Ok(None) };
        if start[0] != START {
            return Ok(None);
        }
        let items = u32::from_le_bytes(start[1..5].try_into().expect("four bytes"));
        let mut checksum = Xxh3::new();
        for _ in 0..items {
            if !self.read_item(&mut checksum)? {
                return Ok(None);
            }
        }
        let Some(end) = self.read::<END_BYTES>()? else { return Ok(None) };
        let sum = u64::from_le_bytes(end[1..9].try_into().expect("eight bytes"));
        let is_whole = end[0] == END && sum == checksum.digest() && &end[9..] == MAGIC;
        Ok(is_whole.then_some(before - self.rest))
    }

    fn read_item(&mut self, checksum: &mut Xxh3) -> io::Result<bool> {
        let Some(head) = self.read::<ITEM_HEAD_BYTES>()? else { return Ok(false) };
        let key = u64::from(u16::from_le_bytes(head[11..13].try_into().expect("two bytes")));
        let value = u64::from(u32::from_le_bytes(head[17..21].try_into().expect("four bytes")));
        if head[0] != ITEM || key + value > self.rest {
            return Ok(false);
        }
        self.item.clear();
        (&mut self.file).take(key + value).read_to_end(&mut self.item)?;
        self.rest -= key + value;
        checksum.update(&head);
        checksum.update(&self.item);
        Ok(true)
    }

    fn read<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.rest < N as u64 {
            return Ok(None);
        }
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        self.rest -= N as u64;
        Ok(Some(bytes))
    }
}
