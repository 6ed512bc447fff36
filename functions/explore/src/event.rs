//! What reaches `explore`, and what it answers.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cloudevents::Event;
use columns::{Column, Condition, Cut, MAX_GROUPED, Measures};
use function::{Call, Failure, Refused};
use http::HeaderMap;
use http::header::ACCEPT;
use model::batch::data_bytes;
use model::{Action, BucketStart, MAX_NAME_BYTES, MinuteRange, Object};
use serde::Deserialize;

/// The type of a question that comes as a CloudEvent.
pub const QUESTION_TYPE: &str = "com.allezon.explore.question";
/// The type of the answer to it.
pub const ANSWER_TYPE: &str = "com.allezon.explore.answer";

/// What is kept of minutes at least.
const MOST_MINUTES: i64 = 24 * 60;
/// More names in a filter belong into a column of their own.
const MOST_VALUES: usize = 1_000;
/// More than anybody reads, and less than a chart can show.
const MOST_TOP: usize = 10_000;

/// Which minutes, which rows in them, how they are grouped, and what to compute of each group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which minutes.
    pub range: MinuteRange,
    /// How many minutes make a step, counted from the range's begin; the last one may be shorter.
    pub step_minutes: u32,
    /// Which action; both where none is given.
    pub action: Option<Action>,
    /// Which rows, and how they are grouped.
    pub cut: Arc<Cut>,
    /// What to compute, in the order of the answer's columns; each once.
    pub aggregates: Vec<Aggregate>,
    /// How many groups, and which.
    pub top: Option<Top>,
    /// How the answer is written.
    pub format: Format,
}

/// What to compute of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// How many tags.
    Count,
    /// The sum of their prices.
    SumPrice,
    /// That divided by how many.
    AvgPrice,
    /// The lowest.
    MinPrice,
    /// The highest.
    MaxPrice,
}

/// The groups with the most, over the whole range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top {
    /// How many groups.
    pub n: usize,
    /// Of what.
    pub by: Aggregate,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One object.
    Json,
    /// Lines, the first of them with the names of the columns.
    Csv,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
struct QuestionData {
    time_range: String,
    step_minutes: Option<u32>,
    action: Option<String>,
    #[serde(default)]
    filters: BTreeMap<String, Object<FilterData>>,
    #[serde(default)]
    group_by: Vec<String>,
    #[serde(default)]
    aggregates: Vec<String>,
    top: Option<Object<TopData>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object with in, not_in or both")]
struct FilterData {
    #[serde(rename = "in")]
    one_of: Option<Vec<String>>,
    #[serde(default)]
    not_in: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object with n and by")]
struct TopData {
    n: usize,
    by: String,
}

impl Aggregate {
    const ALL: [Self; 5] = [Self::Count, Self::SumPrice, Self::AvgPrice, Self::MinPrice, Self::MaxPrice];

    /// As questions and answers spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::SumPrice => "sum_price",
            Self::AvgPrice => "avg_price",
            Self::MinPrice => "min_price",
            Self::MaxPrice => "max_price",
        }
    }

    /// Its value of a group; none of an empty group where it has none.
    pub fn of(self, measures: &Measures) -> Option<Value> {
        let is_empty = measures.count == 0;
        match self {
            Self::Count => Some(Value::Whole(measures.count.cast_signed())),
            Self::SumPrice => Some(Value::Whole(measures.sum_price)),
            _ if is_empty => None,
            Self::AvgPrice => Some(Value::Broken(measures.sum_price as f64 / measures.count as f64)),
            Self::MinPrice => Some(Value::Whole(measures.min_price.into())),
            Self::MaxPrice => Some(Value::Whole(measures.max_price.into())),
        }
    }
}

/// The value of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Value {
    /// An integer.
    Whole(i64),
    /// A quotient.
    Broken(f64),
}

/// As questions and answers spell a column.
pub const fn column_name(column: Column) -> &'static str {
    match column {
        Column::Origin => "origin",
        Column::Brand => "brand_id",
        Column::Category => "category_id",
        Column::Country => "country",
        Column::Device => "device",
    }
}

impl Question {
    /// How many steps the range has.
    pub fn steps(&self) -> u32 {
        let minutes = u32::try_from(self.range.buckets().len()).expect("at most a day");
        minutes.div_ceil(self.step_minutes)
    }

    /// Where a step begins.
    pub fn begin(&self, step: u32) -> BucketStart {
        let first = self.range.buckets().next().expect("a step has minutes");
        BucketStart::from_minutes(first.minutes() + i64::from(step) * i64::from(self.step_minutes))
    }
}

/// The question of a call: typed and complete, or refused.
pub fn decode(call: &Call) -> Result<Question, Failure> {
    match call {
        Call::Http(request) => question(&request.body, format(&request.headers)),
        Call::Event(event) => decode_event(event),
    }
}

fn decode_event(event: &Event) -> Result<Question, Failure> {
    question(&data_bytes(event), Format::Json)
}

/// The first of the two that the client names; JSON if it names none.
fn format(headers: &HeaderMap) -> Format {
    let accepted = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut types =
        accepted.flat_map(|value| value.split(',')).map(|media| media.split(';').next().unwrap_or("").trim());
    let first = types
        .find(|media| ["text/csv", "application/json"].iter().any(|known| media.eq_ignore_ascii_case(known)));
    if first.is_some_and(|media| media.eq_ignore_ascii_case("text/csv")) { Format::Csv } else { Format::Json }
}

fn question(body: &[u8], format: Format) -> Result<Question, Failure> {
    let data = Object::<QuestionData>::parse(body).map_err(|error| {
        let field = (!error.field.is_empty()).then(|| error.field.into());
        Failure::refused(Refused::Malformed, field, error.reason)
    })?;
    let range = MinuteRange::parse_within(&data.time_range, MOST_MINUTES)
        .map_err(|cause| Failure::malformed("time_range", cause.to_string()))?;
    let aggregates = aggregates(&data.aggregates)?;
    let top = data.top.map(|Object(top)| parse_top(&top)).transpose()?;
    let group_by = group_by(&data.group_by)?;
    if top.is_some() && group_by.is_empty() {
        return Err(Failure::malformed("top", "wants a group_by"));
    }
    let wanted = aggregates.iter().copied().chain(top.map(|top| top.by));
    let prices = wanted.into_iter().any(|aggregate| aggregate != Aggregate::Count);
    let cut = Cut { conditions: conditions(data.filters)?, group_by, prices };
    Ok(Question {
        range,
        step_minutes: step(data.step_minutes)?,
        action: data.action.as_deref().map(action).transpose()?,
        cut: Arc::new(cut),
        aggregates,
        top,
        format,
    })
}

/// The whole range where none is given.
fn step(minutes: Option<u32>) -> Result<u32, Failure> {
    let most = MOST_MINUTES as u32;
    match minutes {
        None => Ok(most),
        Some(minutes) if (1..=most).contains(&minutes) => Ok(minutes),
        Some(_) => Err(Failure::malformed("step_minutes", format!("must be 1 to {most}"))),
    }
}

fn action(text: &str) -> Result<Action, Failure> {
    Action::named(text)
        .ok_or_else(|| Failure::malformed("action", "must be VIEW or BUY; both where it is left out"))
}

fn column(field: String, name: &str) -> Result<Column, Failure> {
    let named = Column::ALL.into_iter().find(|column| column_name(*column) == name);
    named.ok_or_else(|| Failure::malformed(field, "must be origin, brand_id, category_id, country or device"))
}

fn group_by(names: &[String]) -> Result<Vec<Column>, Failure> {
    let mut columns = Vec::new();
    for name in names {
        let column = column("group_by".to_owned(), name)?;
        if columns.contains(&column) {
            return Err(Failure::malformed("group_by", "names a column twice"));
        }
        columns.push(column);
    }
    if columns.len() > MAX_GROUPED {
        return Err(Failure::malformed("group_by", format!("must not name more than {MAX_GROUPED} columns")));
    }
    Ok(columns)
}

fn conditions(filters: BTreeMap<String, Object<FilterData>>) -> Result<Vec<Condition>, Failure> {
    let mut values = 0;
    let mut conditions = Vec::new();
    for (name, Object(filter)) in filters {
        let field = format!("filters.{name}");
        let column = column(field.clone(), &name)?;
        let names = || filter.one_of.iter().flatten().chain(&filter.not_in);
        if names().any(|name| name.len() > MAX_NAME_BYTES) {
            return Err(Failure::malformed(field, "has a name that is longer than any tag's"));
        }
        values += names().count();
        if values > MOST_VALUES {
            return Err(Failure::malformed(
                "filters",
                format!("must not have more than {MOST_VALUES} names"),
            ));
        }
        if filter.one_of.is_none() && filter.not_in.is_empty() {
            return Err(Failure::malformed(field, "wants in, not_in or both"));
        }
        let one_of: Option<HashSet<String>> = filter.one_of.map(|names| names.into_iter().collect());
        conditions.push(Condition { column, one_of, none_of: filter.not_in.into_iter().collect() });
    }
    Ok(conditions)
}

fn aggregate(field: &'static str, name: &str) -> Result<Aggregate, Failure> {
    let named = Aggregate::ALL.into_iter().find(|aggregate| aggregate.name().eq_ignore_ascii_case(name));
    named.ok_or_else(|| {
        Failure::malformed(field, "must be count, sum_price, avg_price, min_price or max_price")
    })
}

/// How many, where none is given.
fn aggregates(names: &[String]) -> Result<Vec<Aggregate>, Failure> {
    let mut aggregates = Vec::new();
    for name in names {
        let aggregate = aggregate("aggregates", name)?;
        if aggregates.contains(&aggregate) {
            return Err(Failure::malformed("aggregates", "names an aggregate twice"));
        }
        aggregates.push(aggregate);
    }
    Ok(if aggregates.is_empty() { vec![Aggregate::Count] } else { aggregates })
}

fn parse_top(top: &TopData) -> Result<Top, Failure> {
    if !(1..=MOST_TOP).contains(&top.n) {
        return Err(Failure::malformed("top.n", format!("must be 1 to {MOST_TOP}")));
    }
    Ok(Top { n: top.n, by: aggregate("top.by", &top.by)? })
}
