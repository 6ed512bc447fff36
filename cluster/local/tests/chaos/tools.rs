//! Kafka's own tools, past every part of ours.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::tags::Tag;

const TOPIC: &str = "user-tags";
const DEAD_LETTERS: &str = "dead-letters";
/// As much as a record may hold, and a little less than the tool takes.
const NOISE_BYTES: usize = 1_000_000;

pub(crate) struct Tools {
    pub(crate) script: PathBuf,
    pub(crate) server: SocketAddr,
}

impl Tools {
    /// A group that has ended will get everything again.
    pub(crate) fn deliver_again(&self, group: &str) {
        let args = ["--group", group, "--topic", TOPIC, "--reset-offsets", "--to-earliest", "--execute"];
        self.run("consumer.group.ConsumerGroupCommand", &args, "");
    }

    /// Appends what is no event, nothing, too much noise for an event, an event of an unknown type, one with damaged data and
    /// one in which one of two tags is none. Says how many.
    pub(crate) fn pour_poison(&self) -> u64 {
        let noise = "x".repeat(NOISE_BYTES);
        self.run("ConsoleProducer", &["--topic", TOPIC], &format!("no event\n\n{noise}\n"));
        let event = |kind: &str, data: &str| {
            let headers = format!(
                "ce_specversion:1.0,ce_source:/chaos,ce_id:1,ce_type:{kind},content-type:application/json"
            );
            format!("{headers}\t{data}\n")
        };
        let batch = |tags: &str| {
            let data = format!(
                r#"{{"version":1,"accepted_ms":1646092800123,"tags":{tags},"identities":{{}},"checksum":"00000000"}}"#
            );
            event("com.allezon.user-tags.accepted", &data)
        };
        let one_bad =
            format!("[{},{}]", Tag::view("poison", "2022-02-01T00:00:00Z").json(), r#"{"time":"never"}"#);
        let events = event("com.example.unknown", "{}") + &batch("7") + &batch(&one_bad);
        self.run("ConsoleProducer", &["--topic", TOPIC, "--reader-property", "parse.headers=true"], &events);
        6
    }

    /// How many records the dead letters' topic has ever had.
    pub(crate) fn dead_letters(&self) -> u64 {
        let told = self.run("GetOffsetShell", &["--topic", DEAD_LETTERS], "");
        // topic:partition:offset, one a line.
        told.lines().filter_map(|line| line.rsplit(':').next()?.trim().parse::<u64>().ok()).sum()
    }

    fn run(&self, class: &str, args: &[&str], input: &str) -> String {
        let mut tool = Command::new(&self.script)
            .args([
                "tool",
                &format!("org.apache.kafka.tools.{class}"),
                "--bootstrap-server",
                &self.server.to_string(),
            ])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script is there");
        let mut stdin = tool.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        let output = tool.wait_with_output().expect("it is our child");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{class}: {told}");
        told
    }
}
