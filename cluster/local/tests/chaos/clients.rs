//! Clients that ask every function again and again and bear no failure: what a roll-out must not disturb.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::support::http::{Answer, Client, Request};
use crate::support::tags::{Tag, profile_request};

/// Answers of an overloaded machine, which no roll-out gives.
const OVERLOADED: [&str; 2] = ["the log is slow", "the log is busy"];

pub(crate) struct Clients {
    goes_on: Arc<AtomicBool>,
    asking: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Clients {
    pub(crate) fn start(edge: SocketAddr) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let tag = Tag::view("asked-for", "2022-02-28T00:00:00Z");
        let requests = [
            tag.request().header("idempotency-key", "asked-for"),
            profile_request(&tag.cookie),
            Request::post(
                "/aggregates?time_range=2022-02-28T00:00:00_2022-02-28T00:01:00&action=VIEW&aggregates=COUNT",
            ),
            Request::post("/get_id")
                .body(r#"{"collection_name":"asked","element":"for","create_missing":true}"#),
        ];
        let asking = requests.map(|request| {
            let goes_on = goes_on.clone();
            std::thread::spawn(move || ask(edge, &request, &goes_on))
        });
        Self { goes_on, asking: asking.into() }
    }

    /// How many requests were answered, and what was wrong with others.
    pub(crate) fn stop(self) -> (usize, Vec<String>) {
        self.goes_on.store(false, Ordering::Relaxed);
        let (mut answered, mut wrong) = (0, Vec::new());
        for asking in self.asking {
            let (of_one, wrong_of_one) = asking.join().expect("no panic");
            answered += of_one;
            wrong.extend(wrong_of_one);
        }
        (answered, wrong)
    }
}

fn ask(edge: SocketAddr, request: &Request, goes_on: &AtomicBool) -> (usize, Vec<String>) {
    let (mut client, mut answered, mut wrong) = (None, 0, Vec::new());
    while goes_on.load(Ordering::Relaxed) {
        match once(&mut client, edge, request) {
            Ok(answer) if answer.status < 300 => answered += 1,
            Ok(answer) if OVERLOADED.iter().any(|text| answer.text().contains(text)) => {}
            Ok(answer) => wrong.push(format!("{}: {answer:?}", request.target)),
            Err(error) => wrong.push(format!("{}: {error}", request.target)),
        }
    }
    (answered, wrong)
}

/// A connection that was closed while it was idle is opened again, once.
fn once(client: &mut Option<Client>, edge: SocketAddr, request: &Request) -> std::io::Result<Answer> {
    if let Some(mut kept) = client.take()
        && let Ok(answer) = kept.ask(request)
    {
        *client = Some(kept);
        return Ok(answer);
    }
    let mut new = Client::connect(edge)?;
    let answer = new.ask(request)?;
    *client = Some(new);
    Ok(answer)
}
