//! One place for the lines of all parts, with the part's name before each.

use std::io::{IsTerminal, Write};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{mpsc, oneshot};

/// Lines on their way: more, and who writes them waits, as on a terminal that is slow.
const LINES: usize = 1_024;
/// A longer line is cut into several.
const MAX_LINE_BYTES: usize = 16 << 10;
const READ_BYTES: usize = 8 << 10;
/// The longest name of a part.
const NAME_WIDTH: usize = 19;
/// Colours of names that are readable on black and on white.
const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];

/// Where lines go. A handle that may be cloned.
#[derive(Debug, Clone)]
pub struct Console {
    said: mpsc::Sender<Said>,
}

#[derive(Debug)]
enum Said {
    Line {
        name: String,
        text: Vec<u8>,
    },
    /// Without a name.
    Text(String),
    Flush(oneshot::Sender<()>),
}

impl Console {
    /// On standard output, in colours if that is a terminal.
    pub fn stdout() -> Self {
        let out = std::io::stdout();
        let colours = out.is_terminal();
        Self::new(out, colours)
    }

    /// To any writer. Writing blocks a thread of its own.
    pub fn new(mut out: impl Write + Send + 'static, colours: bool) -> Self {
        let (said, mut written) = mpsc::channel(LINES);
        std::thread::spawn(move || {
            while let Some(said) = written.blocking_recv() {
                // That nobody reads there is no reason to end.
                let _ = write(&mut out, said, colours).and_then(|()| out.flush());
            }
        });
        Self { said }
    }

    /// Says something in the name of a part.
    pub async fn say(&self, name: &str, text: impl Into<String>) {
        self.line(name, text.into().into_bytes()).await;
    }

    /// Says something as it is.
    pub async fn print(&self, text: String) {
        self.send(Said::Text(text)).await;
    }

    /// Returns when everything said before has been written.
    pub async fn flush(&self) {
        let (written, is_written) = oneshot::channel();
        self.send(Said::Flush(written)).await;
        let _ = is_written.await;
    }

    /// Copies lines until the other side is closed.
    pub(crate) async fn copy(self, name: String, mut from: impl AsyncRead + Unpin) {
        let (mut buffer, mut line) = (vec![0; READ_BYTES], Vec::new());
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            for part in buffer[..read].split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if line.ends_with(b"\n") || line.len() >= MAX_LINE_BYTES {
                    line.truncate(line.trim_ascii_end().len());
                    self.line(&name, std::mem::take(&mut line)).await;
                }
            }
        }
        if !line.is_empty() {
            self.line(&name, line).await;
        }
    }

    async fn line(&self, name: &str, text: Vec<u8>) {
        self.send(Said::Line { name: name.to_owned(), text }).await;
    }

    async fn send(&self, said: Said) {
        // The thread ends only with the process.
        let _ = self.said.send(said).await;
    }
}

fn write(out: &mut impl Write, said: Said, colours: bool) -> std::io::Result<()> {
    match said {
        Said::Line { name, text } => {
            write_name(out, &name, colours)?;
            out.write_all(&text)?;
            out.write_all(b"\n")
        }
        Said::Text(text) => out.write_all(text.as_bytes()),
        Said::Flush(written) => {
            // Who asked may have gone.
            let _ = written.send(());
            Ok(())
        }
    }
}

fn write_name(out: &mut impl Write, name: &str, colours: bool) -> std::io::Result<()> {
    if !colours {
        return write!(out, "{name:NAME_WIDTH$} ");
    }
    let colour = COLOURS[name.bytes().map(usize::from).sum::<usize>() % COLOURS.len()];
    write!(out, "\x1b[{colour}m{name:NAME_WIDTH$}\x1b[0m ")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    struct Sent(Sender<Vec<u8>>, Vec<u8>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            self.0.send(std::mem::take(&mut self.1)).map_err(std::io::Error::other)
        }
    }

    #[tokio::test]
    async fn each_line_has_the_name_before_it() {
        let (written, lines) = channel();
        let console = Console::new(Sent(written, Vec::new()), false);
        let long = "x".repeat(MAX_LINE_BYTES);
        let text = format!("one\ntwo  \n{long}y\nend");
        console.copy("sealer".to_owned(), text.as_bytes()).await;
        let lines: Vec<String> = lines.iter().map(|line| String::from_utf8(line).expect("UTF-8")).collect();
        let [one, two, .., end] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(
            [one, two, end].map(|line| line.split_once("  ").map(|(_, text)| text.trim())),
            [Some("one"), Some("two"), Some("end")]
        );
        assert!(
            lines
                .iter()
                .all(|line| line.starts_with("sealer ") && line.len() < MAX_LINE_BYTES + 2 * READ_BYTES)
        );
        let total: usize = lines.iter().map(|line| line.matches(['x', 'y']).count()).sum();
        assert_eq!(total, MAX_LINE_BYTES + 1, "nothing is lost where a line is cut");
    }
}
