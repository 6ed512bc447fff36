//! How an answer is put in order and written.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use columns::{Group, Groups, MAX_GROUPED, Measures};
use function::{Document, Failure, Refused, Reply};
use http::{HeaderName, HeaderValue};

use crate::event::{ANSWER_TYPE, Aggregate, Format, Question, Top, Value, column_name};

/// The longest answer.
const MOST_BYTES: usize = 32 << 20;

/// The rows of an answer, in their order: by step, then by the top's aggregate if there is one, then by names. Without
/// groups every step has a row, otherwise those groups that have one.
pub(crate) fn rows(question: &Question, groups: &Groups) -> Vec<Group> {
    if question.cut.group_by.is_empty() {
        let mut found = groups.groups.iter().peekable();
        let empty = |step| Group { step, places: [0; MAX_GROUPED], measures: Measures::default() };
        return (0..question.steps())
            .map(|step| found.next_if(|group| group.step == step).copied().unwrap_or_else(|| empty(step)))
            .collect();
    }
    let Some(top) = question.top else { return groups.groups.clone() };
    let ranks = ranks(top, &groups.groups);
    let mut rows: Vec<(usize, Group)> =
        groups.groups.iter().filter_map(|group| Some((*ranks.get(&group.places)?, *group))).collect();
    rows.sort_unstable_by_key(|(rank, group)| (group.step, *rank));
    rows.into_iter().map(|(_, group)| group).collect()
}

/// The groups with the most over all steps, each with its rank; of equal ones those first in order of names.
fn ranks(top: Top, groups: &[Group]) -> HashMap<[u32; MAX_GROUPED], usize> {
    let mut totals: HashMap<[u32; MAX_GROUPED], Measures> = HashMap::new();
    groups.iter().for_each(|group| totals.entry(group.places).or_default().join(&group.measures));
    let mut all: Vec<([u32; MAX_GROUPED], Option<Value>)> =
        totals.into_iter().map(|(places, measures)| (places, top.by.of(&measures))).collect();
    all.sort_unstable_by(|(places_a, a), (places_b, b)| {
        b.partial_cmp(a).unwrap_or(Ordering::Equal).then(places_a.cmp(places_b))
    });
    all.truncate(top.n);
    all.into_iter().zip(0..).map(|((places, _), rank)| (places, rank)).collect()
}

/// The reply that carries them.
pub(crate) fn encode(
    question: &Question,
    groups: &Groups,
    took: Duration,
    is_event: bool,
) -> Result<Reply, Failure> {
    let rows = rows(question, groups);
    let writer = Writer { question, groups, out: Vec::new() };
    let scanned_rows = groups.scanned_rows;
    let took_ms = took.as_secs_f64() * 1_000.0;
    match question.format {
        Format::Json => {
            let json = writer.json(&rows, scanned_rows, took_ms)?.into();
            if is_event {
                return Ok(Reply::Answer { json, event_type: ANSWER_TYPE });
            }
            Ok(document("application/json", json, scanned_rows, took_ms))
        }
        Format::Csv => Ok(document(
            "text/csv; charset=utf-8; header=present",
            writer.csv(&rows)?.into(),
            scanned_rows,
            took_ms,
        )),
    }
}

fn document(content_type: &'static str, body: bytes::Bytes, scanned_rows: u64, took_ms: f64) -> Reply {
    let timing = HeaderValue::try_from(format!("explore;dur={took_ms:.1}")).expect("a number");
    let headers = vec![
        (HeaderName::from_static("scanned-rows"), HeaderValue::from(scanned_rows)),
        (HeaderName::from_static("server-timing"), timing),
    ];
    Reply::Document(Document { content_type, headers, body })
}

struct Writer<'a> {
    question: &'a Question,
    groups: &'a Groups,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn columns(&self) -> impl Iterator<Item = &'static str> {
        let columns = self.question.cut.group_by.iter().map(|column| column_name(*column));
        let aggregates = self.question.aggregates.iter().copied().map(Aggregate::name);
        ["bucket"].into_iter().chain(columns).chain(aggregates)
    }

    fn names<'g>(&self, group: &'g Group) -> impl Iterator<Item = &str> + use<'_, 'g> {
        self.groups.names.iter().zip(group.places).map(|(names, place)| &*names[place as usize])
    }

    fn json(mut self, rows: &[Group], scanned_rows: u64, took_ms: f64) -> Result<Vec<u8>, Failure> {
        let columns: Vec<&str> = self.columns().collect();
        let columns = serde_json::to_string(&columns).expect("names serialise");
        write!(self.out, r#"{{"columns":{columns},"rows":["#).expect("memory takes all");
        for (place, group) in rows.iter().enumerate() {
            self.out.extend_from_slice(if place > 0 { b",[" } else { b"[" });
            write!(self.out, "\"{}\"", self.question.begin(group.step)).expect("memory takes all");
            let mut names = Vec::new();
            for name in self.names(group) {
                names.push(b',');
                serde_json::to_writer(&mut names, name).expect("a name serialises");
            }
            self.out.append(&mut names);
            for aggregate in &self.question.aggregates {
                self.out.push(b',');
                self.value(aggregate.of(&group.measures), "null");
            }
            self.out.push(b']');
            self.check()?;
        }
        write!(self.out, r#"],"scanned_rows":{scanned_rows},"took_ms":{took_ms:.1}}}"#)
            .expect("memory takes all");
        Ok(self.out)
    }

    /// RFC 4180: lines end in CR LF, names in quotes.
    fn csv(mut self, rows: &[Group]) -> Result<Vec<u8>, Failure> {
        let columns: Vec<&str> = self.columns().collect();
        write!(self.out, "{}\r\n", columns.join(",")).expect("memory takes all");
        for group in rows {
            write!(self.out, "{}", self.question.begin(group.step)).expect("memory takes all");
            let names: String =
                self.names(group).map(|name| format!(",\"{}\"", name.replace('"', "\"\""))).collect();
            self.out.extend_from_slice(names.as_bytes());
            for aggregate in &self.question.aggregates {
                self.out.push(b',');
                self.value(aggregate.of(&group.measures), "");
            }
            self.out.extend_from_slice(b"\r\n");
            self.check()?;
        }
        Ok(self.out)
    }

    fn value(&mut self, value: Option<Value>, none: &str) {
        match value {
            Some(Value::Whole(number)) => write!(self.out, "{number}"),
            Some(Value::Broken(number)) => write!(self.out, "{number}"),
            None => write!(self.out, "{none}"),
        }
        .expect("memory takes all");
    }

    fn check(&self) -> Result<(), Failure> {
        if self.out.len() > MOST_BYTES {
            let reason = format!(
                "the answer is longer than {MOST_BYTES} bytes: ask for a top, a longer step, or less"
            );
            return Err(Failure::refused(Refused::TooLarge, None, reason));
        }
        Ok(())
    }
}
