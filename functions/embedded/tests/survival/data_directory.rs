//! What can be wrong with the data directory, and what is said about it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::alone;
use crate::support::allezon::Home;
use crate::support::http::Request;
use crate::support::skip;
use crate::support::tags::{Tag, profile_request, profile_text};

/// Nobody's, by long custom.
const NOBODY: u32 = 65_534;

fn says(told: &str, words: &[&str], path: &Path) {
    let lower = told.to_lowercase();
    assert!(words.iter().any(|word| lower.contains(word)), "none of {words:?} in: {told}");
    assert!(told.contains(&path.display().to_string()), "the path is not named: {told}");
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn held_by_another_process() {
    let _alone = alone();
    let home = Home::new();
    let server = home.start(&[]);
    let second = Home::at(home.data());
    says(&second.start_fails(&[]), &["in use", "held"], home.data());
    says(&second.start_fails(&["--reset", "--yes"]), &["in use", "held"], home.data());
    server.accept(&Tag::default());
    server.kill();
    // A lock that a killed process left is no lock.
    second.start(&[]).profile(&Tag::default().cookie, (1, 0));
}

#[test]
fn a_newer_format() {
    let _alone = alone();
    let home = Home::new();
    assert!(home.start(&[]).terminate().success());
    fs::write(home.data().join("FORMAT"), "allezon-data 2\n").expect("a file");
    says(&home.start_fails(&[]), &["newer"], home.data());
}

#[test]
fn no_permission() {
    let _alone = alone();
    let home = Home::at(Path::new("/proc/allezon-data"));
    let told = home.start_fails(&[]);
    says(&told, &["cannot", "permission"], home.data());

    let home = Home::new();
    fs::create_dir(home.data()).expect("a directory");
    let is_root = fs::metadata(home.data()).expect("it is there").uid() == 0;
    fs::set_permissions(home.data(), fs::Permissions::from_mode(0o500)).expect("ours");
    let mut command = home.command(&[]);
    if is_root {
        // Root may do anything, so somebody else tries; who may not even run the program proves nothing.
        let reachable =
            home.command(&[]).arg("--version").uid(NOBODY).status().is_ok_and(|status| status.success());
        if !reachable {
            return skip("no_permission", "root cannot be refused, and nobody may not run the program");
        }
        let parent = home.data().parent().expect("a temporary directory");
        fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).expect("ours");
        command.uid(NOBODY);
    }
    let status = command.status().expect("the program is there");
    assert!(!status.success());
    says(&home.log(), &["permission"], home.data());
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let _alone = alone();
    let home = Home::new();
    fs::create_dir(home.data()).expect("a directory");
    fs::write(home.data().join("thesis.txt"), "ten years").expect("a file");
    says(&home.start_fails(&[]), &["no data of allezon", "not empty"], home.data());
    says(&home.start_fails(&["--reset", "--yes"]), &["no data of allezon", "not empty"], home.data());
    assert_eq!(fs::read_to_string(home.data().join("thesis.txt")).expect("it is there"), "ten years");
    let file = Home::new();
    fs::write(file.data(), "a file, no directory").expect("a file");
    says(&file.start_fails(&[]), &["cannot", "directory"], file.data());
}

#[test]
fn reset_needs_a_confirmation() {
    let _alone = alone();
    let home = Home::new();
    let tag = Tag::default();
    let server = home.start(&[]);
    server.accept(&tag);
    server.done(&Request::post("/sealer").binary("/t", "1", "com.allezon.tick"));
    server.profile(&tag.cookie, (1, 0));
    let name = r#"{"collection_name":"c","element":"e","create_missing":true}"#;
    let unknown = r#"{"collection_name":"c","element":"e","create_missing":false}"#;
    assert_eq!(server.ask(&Request::post("/get_id").body(name)).status, 200);
    assert!(server.terminate().success());

    says(&home.start_fails(&["--reset"]), &["--yes"], home.data());
    assert!(!home.spawn(&["--yes"]).ends().success(), "yes to what?");
    let server = home.start(&[]);
    server.profile(&tag.cookie, (1, 0));
    assert!(server.terminate().success());

    let server = home.start(&["--reset", "--yes"]);
    let count = "/aggregates?time_range=2022-03-22T12:15:00_2022-03-22T12:16:00&action=VIEW&aggregates=COUNT";
    for _ in 0..2 {
        server.answers(&profile_request(&tag.cookie), &profile_text(&tag.cookie, &[], &[]));
        assert_eq!(server.ask(&Request::post("/get_id").body(unknown)).status, 404);
        assert_eq!(server.ask(&Request::post(count)).json()["rows"][0][2], "0");
        // Nothing comes back after a while, and what comes new is kept.
        server.accept(&Tag::view("new", "2022-03-22T12:30:00Z"));
    }
    server.profile("new", (2, 0));
}

/// Each file in turn is damaged. Then it does not start, and says which directory; or it answers right, or 5xx.
#[test]
fn damaged_files_never_give_wrong_answers() {
    let _alone = alone();
    let home = Home::new();
    let answers = fill(&home);
    for (n, file) in files(home.data()).iter().enumerate() {
        let inside = file.strip_prefix(home.data()).expect("inside");
        // The store's tables and manifests are many and of a few kinds: one damage each is enough.
        let damages = match inside.starts_with("store/lsm/keyspaces") {
            true => &Damage::ALL[n % 3..=n % 3],
            false => &Damage::ALL[..],
        };
        for damage in damages {
            let copy = Home::new();
            let mut cp = Command::new("cp");
            assert!(cp.arg("-a").arg(home.data()).arg(copy.data()).status().expect("cp").success());
            damage.to(&copy.data().join(inside));
            let Ok(server) = copy.spawn(&[]).listens_or_ends() else {
                says(&copy.log(), &["damaged", "cannot", "newer", "no data of allezon"], copy.data());
                continue;
            };
            for (request, text) in &answers {
                let answer = server.ask(request);
                let is_right = (answer.status, answer.text()) == (200, text);
                assert!(is_right || answer.status >= 500, "{damage:?} {}: {answer:?}", inside.display());
            }
        }
    }
}

/// Questions, and their right answers, of what is then in the directory.
fn fill(home: &Home) -> Vec<(Request, String)> {
    let tags: Vec<Tag> = (0..40).map(|n| Tag::view("c", &format!("2022-03-22T12:15:{n:02}Z"))).collect();
    let server = home.start(&[]);
    for tag in &tags {
        server.accept(tag);
    }
    let newest_first: Vec<&Tag> = tags.iter().rev().collect();
    let count = "/aggregates?time_range=2022-03-22T12:15:00_2022-03-22T12:16:00&action=VIEW&aggregates=COUNT";
    let rows = r#"{"columns":["1m_bucket","action","count"],"rows":[["2022-03-22T12:15:00","VIEW","40"]]}"#;
    let ids = r#"{"collection_name":"c","elements":["a","b"],"create_missing":true}"#;
    let answers = vec![
        (profile_request("c"), profile_text("c", &newest_first, &[])),
        (Request::post(count), rows.to_owned()),
        (Request::post("/get_ids").body(ids), r#"{"ids":[1,2]}"#.to_owned()),
    ];
    for (request, text) in &answers {
        server.answers(request, text);
        server.done(&Request::post("/sealer"));
    }
    assert!(server.terminate().success());
    answers
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    /// Its middle is zeros.
    Zeroed,
    /// One bit in its middle is another.
    Flipped,
    /// Its second half is gone.
    Cut,
}

impl Damage {
    const ALL: [Self; 3] = [Self::Zeroed, Self::Flipped, Self::Cut];

    fn to(self, file: &Path) {
        let mut bytes = fs::read(file).expect("a file");
        // Files may have room in reserve behind what they hold.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
        let (start, end) = (used / 3, (2 * used).div_ceil(3));
        match self {
            Self::Zeroed => bytes[start..end].fill(0),
            Self::Flipped => bytes.iter_mut().skip(start).take(1).for_each(|byte| *byte ^= 1),
            Self::Cut => bytes.truncate(start),
        }
        fs::write(file, bytes).expect("ours");
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry")) {
        if entry.file_type().expect("a type").is_dir() {
            files.extend(self::files(&entry.path()));
        } else if entry.metadata().expect("metadata").len() > 0 && entry.file_name() != "LOCK" {
            files.push(entry.path());
        }
    }
    files
}
