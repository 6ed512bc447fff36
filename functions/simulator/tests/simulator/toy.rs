//! A toy Allezon: right, in memory, and with faults on demand.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use simulator::calendar::{Precision, instant, parse_instant};
use tokio::net::TcpListener;

/// What the toy does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Answers 204 to this tag, counted from 0, and forgets it.
    Drops(usize),
    /// Stores this tag twice.
    Doubles(usize),
    /// Answers profiles oldest first.
    Reverses,
    /// Counts minutes one tag short from this minute on.
    Miscounts,
    /// Answers 503 to each so-many-th tag, and stores every second one of those.
    Refuses(usize),
    /// Closes the connection after each so-many-th tag, which is stored.
    Closes(usize),
}

type Tags = Vec<(i64, Arc<Value>)>;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) seen: usize,
    keys: HashSet<String>,
    cookies: HashMap<String, Tags>,
    minutes: HashMap<i64, Tags>,
}

impl State {
    pub(crate) fn stored(&self) -> usize {
        self.cookies.values().map(Vec::len).sum()
    }

    fn store(&mut self, at_ms: i64, tag: Value, times: usize) {
        let tag = Arc::new(tag);
        for _ in 0..times {
            let cookie = tag["cookie"].as_str().unwrap().to_owned();
            self.cookies.entry(cookie).or_default().push((at_ms, Arc::clone(&tag)));
            self.minutes.entry(at_ms / 60_000).or_default().push((at_ms, Arc::clone(&tag)));
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Toy {
    fault: Fault,
    pub(crate) url: String,
    pub(crate) state: Arc<Mutex<State>>,
}

impl Toy {
    /// Starts it on a free port; gives its URL.
    pub(crate) async fn start(fault: Fault) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let toy = Self { fault, url: url.clone(), state: Arc::default() };
        let accepting = toy.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let toy = accepting.clone();
                let service = service_fn(move |request| toy.clone().serve(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (toy, url)
    }

    async fn serve(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let key = head.headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
        let query = head.uri.query().unwrap_or_default();
        let (status, answer) = match head.uri.path() {
            "/user_tags" => match self.post(&body, key) {
                Some(status) if status == StatusCode::NO_CONTENT => (status, None),
                Some(status) => (status, Some(json!({"detail": "the toy refuses"}))),
                None => return Err(std::io::Error::other("the toy hangs up")),
            },
            "/aggregates" => (StatusCode::OK, Some(self.aggregates(&parameters(query)))),
            path => {
                (StatusCode::OK, Some(self.profile(path.rsplit('/').next().unwrap(), &parameters(query))))
            }
        };
        let body = answer.map_or(Bytes::new(), |answer| Bytes::from(answer.to_string()));
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        Ok(response)
    }

    fn post(&self, body: &[u8], key: Option<String>) -> Option<StatusCode> {
        let Ok(tag) = serde_json::from_slice::<Value>(body) else { return Some(StatusCode::BAD_REQUEST) };
        let Some(at_ms) = tag["time"].as_str().and_then(parse_instant) else {
            return Some(StatusCode::BAD_REQUEST);
        };
        let mut state = self.state.lock().unwrap();
        let number = state.seen;
        state.seen += 1;
        let is_repeat = key.as_ref().is_some_and(|key| state.keys.contains(key));
        let once = usize::from(!is_repeat);
        let (times, status) = match self.fault {
            Fault::Drops(dropped) if number == dropped => (0, Some(StatusCode::NO_CONTENT)),
            Fault::Doubles(doubled) if number == doubled => (2, Some(StatusCode::NO_CONTENT)),
            Fault::Refuses(each) if number.is_multiple_of(each) => {
                let stores = number.is_multiple_of(2 * each);
                (if stores { once } else { 0 }, Some(StatusCode::SERVICE_UNAVAILABLE))
            }
            Fault::Closes(each) if number.is_multiple_of(each) => (once, None),
            _ => (once, Some(StatusCode::NO_CONTENT)),
        };
        state.store(at_ms, tag, times);
        state.keys.extend(key.filter(|_| times > 0));
        status
    }

    fn profile(&self, cookie: &str, parameters: &[(String, String)]) -> Value {
        let (from, to) = range(parameters);
        let limit = first(parameters, "limit").map_or(200, |limit| limit.parse::<usize>().unwrap().min(200));
        let state = self.state.lock().unwrap();
        let list = |action: &str| {
            let tags = state.cookies.get(cookie).map_or(&[][..], Vec::as_slice).iter();
            let mut list: Vec<_> =
                tags.filter(|(at, tag)| tag["action"] == action && (from..to).contains(at)).collect();
            list.sort_by_key(|(at, _)| -at);
            let mut list: Vec<Value> =
                list.into_iter().take(limit).map(|(_, tag)| Value::clone(tag)).collect();
            if self.fault == Fault::Reverses {
                list.reverse();
            }
            list
        };
        json!({"cookie": cookie, "views": list("VIEW"), "buys": list("BUY")})
    }

    fn aggregates(&self, parameters: &[(String, String)]) -> Value {
        let (from, to) = range(parameters);
        let action = first(parameters, "action").unwrap();
        let filters: Vec<(&str, &str)> = ["origin", "brand_id", "category_id"]
            .into_iter()
            .filter_map(|name| Some((name, first(parameters, name)?)))
            .collect();
        let wanted: Vec<String> = parameters
            .iter()
            .filter(|(name, _)| name == "aggregates")
            .map(|(_, value)| value.to_lowercase())
            .collect();
        let state = self.state.lock().unwrap();
        let row = |bucket: i64| {
            let minute = state.minutes.get(&(bucket / 60_000)).map_or(&[][..], Vec::as_slice);
            let taken = minute.iter().filter(|(_, tag)| {
                tag["action"] == action
                    && filters.iter().all(|(name, value)| {
                        let place = if *name == "origin" { &**tag } else { &tag["product_info"] };
                        place[name] == *value
                    })
            });
            let (mut count, mut sum) = (0, 0);
            for (_, tag) in taken {
                count += 1;
                sum += tag["product_info"]["price"].as_i64().unwrap();
            }
            if self.fault == Fault::Miscounts && count > 0 {
                count -= 1;
            }
            let mut cells = vec![instant(bucket, Precision::Seconds), action.to_owned()];
            cells.extend(filters.iter().map(|(_, value)| (*value).to_owned()));
            cells.extend(
                wanted.iter().map(|name| if name == "count" { count.to_string() } else { sum.to_string() }),
            );
            cells
        };
        let mut columns = vec!["1m_bucket", "action"];
        columns.extend(filters.iter().map(|(name, _)| *name));
        columns.extend(wanted.iter().map(String::as_str));
        let rows: Vec<_> = (from..to).step_by(60_000).map(row).collect();
        json!({"columns": columns, "rows": rows})
    }
}

fn parameters(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn first<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|parameter| parameter.0 == name).map(|(_, value)| value.as_str())
}

fn range(parameters: &[(String, String)]) -> (i64, i64) {
    let (from, to) = first(parameters, "time_range").unwrap().split_once('_').unwrap();
    (parse_instant(from).unwrap(), parse_instant(to).unwrap())
}
