//! What reaches `aggregates`, and what it answers.

use cloudevents::Event;
use columns::{Filter, Totals};
use function::{Call, Failure, Query, Refused, Reply, Request};
use model::batch::data_bytes;
use model::{Action, BucketStart, MinuteRange, Object};
use serde::{Deserialize, Serialize};

/// The type of a question that comes as a CloudEvent.
pub const QUESTION_TYPE: &str = "com.allezon.aggregates.question";
/// The type of the answer to it.
pub const ANSWER_TYPE: &str = "com.allezon.aggregates.answer";

/// What to compute of each minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// How many tags.
    Count,
    /// The sum of their prices.
    SumPrice,
}

/// Which minutes, which tags in them, and what to compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which minutes.
    pub range: MinuteRange,
    /// Which action.
    pub action: Action,
    /// Which names.
    pub filter: Filter,
    /// What to compute, in the order of the answer's columns; each once.
    pub aggregates: Vec<Aggregate>,
}

#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct QuestionData {
    time_range: String,
    action: String,
    aggregates: Vec<String>,
    origin: Option<String>,
    brand_id: Option<String>,
    category_id: Option<String>,
}

#[derive(Serialize)]
struct AnswerData<'a> {
    columns: Vec<&'static str>,
    rows: Vec<Vec<std::borrow::Cow<'a, str>>>,
}

impl Aggregate {
    const fn column(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::SumPrice => "sum_price",
        }
    }

    fn of(self, totals: Totals) -> String {
        match self {
            Self::Count => totals.count.to_string(),
            Self::SumPrice => totals.sum_price.to_string(),
        }
    }
}

/// The question of a call: typed and complete, or refused.
pub fn decode(call: &Call) -> Result<Question, Failure> {
    match call {
        Call::Http(request) => decode_request(request),
        Call::Event(event) => decode_event(event),
    }
}

/// The reply that carries the totals of each minute.
pub fn encode(question: &Question, minutes: &[(BucketStart, Totals)]) -> Reply {
    let filter = &question.filter;
    let filters =
        [("origin", &filter.origin), ("brand_id", &filter.brand), ("category_id", &filter.category)];
    let filters: Vec<(&'static str, &str)> =
        filters.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let mut columns = vec!["1m_bucket", "action"];
    columns.extend(filters.iter().map(|(name, _)| name));
    columns.extend(question.aggregates.iter().map(|aggregate| aggregate.column()));
    let row = |&(bucket, totals): &(BucketStart, Totals)| {
        let mut row = vec![bucket.to_string().into(), question.action.as_str().into()];
        row.extend(filters.iter().map(|&(_, value)| value.into()));
        row.extend(question.aggregates.iter().map(|aggregate| aggregate.of(totals).into()));
        row
    };
    let data = AnswerData { columns, rows: minutes.iter().map(row).collect() };
    let json = serde_json::to_vec(&data).expect("strings always serialise");
    Reply::Answer { json: json.into(), event_type: ANSWER_TYPE }
}

fn decode_request(request: &Request) -> Result<Question, Failure> {
    let query = Query::parse(&request.query)?;
    let filter = |name| query.one(name).map(|value| value.map(str::to_owned));
    Ok(Question {
        range: range(query.required("time_range")?)?,
        action: action(query.required("action")?)?,
        filter: Filter {
            origin: filter("origin")?,
            brand: filter("brand_id")?,
            category: filter("category_id")?,
        },
        aggregates: aggregates(query.all("aggregates"))?,
    })
}

fn decode_event(event: &Event) -> Result<Question, Failure> {
    let Object(data): Object<QuestionData> = serde_json::from_slice(&data_bytes(event))
        .map_err(|cause| Failure::refused(Refused::Malformed, None, cause.to_string()))?;
    Ok(Question {
        range: range(&data.time_range)?,
        action: action(&data.action)?,
        filter: Filter { origin: data.origin, brand: data.brand_id, category: data.category_id },
        aggregates: aggregates(data.aggregates.iter().map(String::as_str))?,
    })
}

fn range(text: &str) -> Result<MinuteRange, Failure> {
    MinuteRange::parse(text).map_err(|cause| Failure::malformed("time_range", cause.to_string()))
}

fn action(text: &str) -> Result<Action, Failure> {
    Action::named(text).ok_or_else(|| Failure::malformed("action", "must be VIEW or BUY"))
}

/// One or several parameters, each one or several separated by commas, in any case.
fn aggregates<'a>(values: impl Iterator<Item = &'a str>) -> Result<Vec<Aggregate>, Failure> {
    let mut wanted = Vec::new();
    for value in values.flat_map(|value| value.split(',')) {
        let aggregate = match value.to_ascii_uppercase().as_str() {
            "COUNT" => Aggregate::Count,
            "SUM_PRICE" => Aggregate::SumPrice,
            _ => return Err(Failure::malformed("aggregates", "must be COUNT or SUM_PRICE")),
        };
        if wanted.contains(&aggregate) {
            return Err(Failure::malformed("aggregates", "names an aggregate twice"));
        }
        wanted.push(aggregate);
    }
    if wanted.is_empty() {
        return Err(Failure::malformed("aggregates", "is missing"));
    }
    Ok(wanted)
}
