//! The model: who sent which tag, what was answered, and what must therefore be found.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;

use serde_json::Value;

use crate::support::allezon::Allezon;
use crate::support::eventually;
use crate::support::http::{Client, Request};
use crate::support::tags::{Tag, profile_request};

/// Far fewer than a list holds, so that every tag stays in its profile.
const TAGS_PER_COOKIE: u64 = 60;
const ORIGINS: u64 = 5;
const MINUTES_PER_DAY: usize = 1_440;

/// A tag that was sent.
#[derive(Debug)]
struct Sent {
    id: u64,
    minute: usize,
    tag: Tag,
    answered: bool,
}

/// Sends tags that nobody else sends, and keeps account of them.
#[derive(Debug)]
pub(crate) struct Writer {
    worker: u64,
    sent: Vec<Sent>,
    /// Letters in each country: how large a tag is.
    padding: usize,
    /// Statuses that leave open whether the tag was taken, beside no answer at all.
    doubtful: &'static [u16],
    /// How often each status was answered.
    pub(crate) statuses: BTreeMap<u16, usize>,
}

impl Writer {
    pub(crate) fn new(worker: u64) -> Self {
        Self { worker, sent: Vec::new(), padding: 2, doubtful: &[], statuses: BTreeMap::new() }
    }

    #[allow(dead_code, reason = "each test crate uses its part")]
    pub(crate) fn padded(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Behind an edge, which says so when a function has broken off or gives no answer.
    #[allow(dead_code, reason = "each test crate uses its part")]
    pub(crate) fn behind_an_edge(self) -> Self {
        Self { doubtful: &[502, 504], ..self }
    }

    pub(crate) fn count(&self) -> usize {
        self.sent.len()
    }

    pub(crate) fn answered(&self) -> usize {
        self.sent.iter().filter(|sent| sent.answered).count()
    }

    /// Sends tags of this minute until this many are sent, or nobody answers any more. Those with an identity of their
    /// own that are in doubt from before are sent again first: they count once nevertheless.
    pub(crate) fn write(&mut self, address: SocketAddr, minute: usize, most: usize) {
        let Ok(mut client) = Client::connect(address) else { return };
        let in_doubt: Vec<usize> = (0..self.sent.len())
            .filter(|at| !self.sent[*at].answered && has_identity(self.sent[*at].id))
            .collect();
        for at in in_doubt {
            if !self.post(&mut client, at) {
                return;
            }
        }
        for _ in 0..most {
            let at = self.sent.len();
            self.sent.push(self.next(minute));
            let is_sent = self.post(&mut client, at);
            // Answered or not, it may be sent again.
            let again = is_sent && self.sent[at].id.is_multiple_of(8);
            if !is_sent || again && !self.post(&mut client, at) {
                return;
            }
        }
    }

    fn next(&self, minute: usize) -> Sent {
        let n = self.sent.len() as u64;
        let id = self.worker * 1_000_000_000 + n;
        let action = if n.is_multiple_of(3) { "BUY" } else { "VIEW" };
        let tag = Tag {
            action,
            country: "x".repeat(self.padding),
            origin: format!("o{}", n % ORIGINS),
            brand: format!("b{}", n / 7),
            product_id: id.to_string(),
            price: i32::try_from(n * 7_919 % 20_011).expect("small") - 10_000,
            ..Tag::view(
                &format!("w{}-{}", self.worker, n / TAGS_PER_COOKIE),
                &format!("{}:{:02}.{:03}Z", minute_text(minute), n % 60, n % 1_000),
            )
        };
        Sent { id, minute, tag, answered: false }
    }

    /// Whether there was an answer.
    fn post(&mut self, client: &mut Client, at: usize) -> bool {
        let sent = &mut self.sent[at];
        let Ok(answer) = client.ask(&request(sent)) else { return false };
        *self.statuses.entry(answer.status).or_default() += 1;
        match answer.status {
            204 => sent.answered = true,
            503 => assert!(answer.header("retry-after").is_some(), "{answer:?}"),
            doubtful if self.doubtful.contains(&doubtful) => {}
            other => panic!("{other}: {answer:?}"),
        }
        true
    }
}

fn has_identity(id: u64) -> bool {
    id % 4 < 2
}

fn request(sent: &Sent) -> Request {
    match sent.id % 4 {
        0 => sent.tag.request().header("idempotency-key", &sent.id.to_string()),
        1 => Request::post("/user_tags").body(sent.tag.json()).binary(
            "/writer",
            &sent.id.to_string(),
            "com.allezon.user-tag",
        ),
        _ => sent.tag.request(),
    }
}

fn minute_text(minute: usize) -> String {
    let (day, minute) = (minute / MINUTES_PER_DAY, minute % MINUTES_PER_DAY);
    format!("2022-03-{:02}T{:02}:{:02}", 1 + day, minute / 60, minute % 60)
}

/// Everything answered is there, nothing is there twice, nothing is there that was not sent; and the aggregates tell the
/// same story as the profiles.
pub(crate) fn check(server: &Allezon, writers: &[Writer]) {
    eventually(|| {
        let found = check_profiles(server, writers)?;
        check_aggregates(server, &found)
    });
}

fn check_profiles<'w>(server: &Allezon, writers: &'w [Writer]) -> Result<Vec<&'w Sent>, String> {
    let mut client = server.client();
    let mut found = Vec::new();
    for of_cookie in writers.iter().flat_map(|writer| writer.sent.chunks(TAGS_PER_COOKIE as usize)) {
        let cookie = &of_cookie[0].tag.cookie;
        let answer = client.ask(&profile_request(cookie)).map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("{cookie}: {answer:?}"));
        }
        found.extend(check_profile(of_cookie, &answer.json())?);
    }
    Ok(found)
}

fn check_profile<'w>(of_cookie: &'w [Sent], profile: &Value) -> Result<Vec<&'w Sent>, String> {
    let by_id: HashMap<u64, &Sent> = of_cookie.iter().map(|sent| (sent.id, sent)).collect();
    let mut seen = HashSet::new();
    for (list, action) in [("views", "VIEW"), ("buys", "BUY")] {
        for tag in profile[list].as_array().ok_or("no list")? {
            let id = tag["product_info"]["product_id"].as_u64().ok_or("no id")?;
            let sent = by_id.get(&id).ok_or_else(|| format!("never sent: {tag}"))?;
            let as_sent: Value = serde_json::from_str(&sent.tag.json()).expect("JSON");
            if *tag != as_sent || sent.tag.action != action {
                return Err(format!("changed: {tag} instead of {as_sent}"));
            }
            if !seen.insert(id) {
                return Err(format!("twice: {tag}"));
            }
        }
    }
    if let Some(lost) = of_cookie.iter().find(|sent| sent.answered && !seen.contains(&sent.id)) {
        return Err(format!("lost: {lost:?}"));
    }
    Ok(of_cookie.iter().filter(|sent| seen.contains(&sent.id)).collect())
}

/// Count and sum of each minute of both actions, without and with a filter.
fn check_aggregates(server: &Allezon, found: &[&Sent]) -> Result<(), String> {
    let mut totals: HashMap<(usize, &str, Option<&str>), (u64, i64)> = HashMap::new();
    for sent in found {
        for origin in [None, Some(&*sent.tag.origin)] {
            let total = totals.entry((sent.minute, sent.tag.action, origin)).or_default();
            *total = (total.0 + 1, total.1 + i64::from(sent.tag.price));
        }
    }
    let minutes: Vec<usize> = found.iter().map(|sent| sent.minute).collect();
    let (Some(first), Some(last)) = (minutes.iter().min(), minutes.iter().max()) else { return Ok(()) };
    let mut client = server.client();
    for from in (*first..=*last).step_by(10) {
        for (action, origin) in [("VIEW", None), ("BUY", None), ("VIEW", Some("o1")), ("BUY", Some("o3"))] {
            let filter = origin.map(|origin| format!("&origin={origin}")).unwrap_or_default();
            let range = format!("{}:00_{}:00", minute_text(from), minute_text(from + 10));
            let question =
                format!("/aggregates?time_range={range}&action={action}&aggregates=COUNT,SUM_PRICE{filter}");
            let answer = client.ask(&Request::post(&question)).map_err(|error| error.to_string())?;
            if answer.status != 200 {
                return Err(format!("{question}: {answer:?}"));
            }
            let rows = answer.json();
            for (minute, row) in (from..).zip(rows["rows"].as_array().ok_or("no rows")?) {
                let (count, sum) = totals.get(&(minute, action, origin)).copied().unwrap_or_default();
                let cells = row.as_array().ok_or("no row")?;
                let told: Vec<&str> = cells[cells.len() - 2..].iter().filter_map(Value::as_str).collect();
                if told != [count.to_string(), sum.to_string()] {
                    return Err(format!("{question}: {row} instead of {count}, {sum}"));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_profile_is_noticed() {
        let mut writer = Writer::new(3);
        for _ in 0..2 {
            let next = writer.next(0);
            writer.sent.push(next);
        }
        writer.sent[0].answered = true;
        let [answered, doubtful] = [0, 1].map(|at| writer.sent[at].tag.json());
        let found = |views: &str, buys: &str| {
            let profile =
                serde_json::from_str(&format!(r#"{{"views":[{views}],"buys":[{buys}]}}"#)).expect("JSON");
            check_profile(&writer.sent, &profile).map(|found| found.len())
        };
        assert_eq!(found("", &answered), Ok(1));
        assert_eq!(found(&doubtful, &answered), Ok(2));
        for (views, buys, wrong) in [
            ("", "", "lost"),
            (&*doubtful, "", "lost"),
            ("", &*format!("{answered},{answered}"), "twice"),
            (&answered, "", "changed"),
            ("", &answered.replace("o0", "o1"), "changed"),
            ("", &answered.replace("3000000000", "3000000009"), "never sent"),
        ] {
            assert!(found(views, buys).is_err_and(|told| told.starts_with(wrong)), "{wrong}: {views} {buys}");
        }
    }
}
