//! The directory's format.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

const FORMAT_FILE: &str = "FORMAT";
/// The whole content of the format's file.
const FORMAT: &str = "allezon store 1\n";
const FORMAT_NAME: &str = "allezon store ";
const DATABASE: &str = "lsm";
/// What the library writes last when it creates a database.
const DATABASE_MARK: &str = "version";
/// The first tree that is not the library's own.
const FIRST_TREE: &str = "keyspaces/1";

/// Makes sure that the directory is there and of this format; answers where the database lies in it.
pub(crate) fn prepare(path: &Path) -> Result<PathBuf, OpenError> {
    let of_io = |cause| OpenError::of_io(path.to_owned(), cause);
    let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.into() };
    let database = path.join(DATABASE);
    fs::create_dir_all(path).map_err(of_io)?;
    match fs::read(path.join(FORMAT_FILE)) {
        Ok(format) if format == FORMAT.as_bytes() => {}
        Ok(format) => {
            let format = String::from_utf8_lossy(&format);
            let number = format
                .trim_end()
                .strip_prefix(FORMAT_NAME)
                .ok_or_else(|| damaged("its format is unknown"))?;
            return Err(OpenError::Newer { path: path.to_owned(), format: number.into() });
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound && !database.exists() => {
            write_whole(path, FORMAT_FILE, FORMAT.as_bytes()).map_err(of_io)?;
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            return Err(damaged("its format is missing"));
        }
        Err(cause) => return Err(of_io(cause)),
    }
    if database.exists() && !database.join(DATABASE_MARK).exists() {
        if database.join(FIRST_TREE).exists() {
            return Err(damaged("the mark of the database is missing"));
        }
        // Its creation was cut short: nothing was ever stored in it.
        fs::remove_dir_all(&database).map_err(of_io)?;
    }
    Ok(database)
}

/// Writes a file so that it is there whole or not at all.
pub(crate) fn write_whole(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let unfinished = directory.join(format!("{name}.new"));
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, directory.join(name))?;
    File::open(directory)?.sync_all()
}
