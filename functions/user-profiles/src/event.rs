//! What reaches `user-profiles`, and what it answers.

use cloudevents::Event;
use function::{Call, Failure, Query, Refused, Reply, Request, decode_segment};
use model::batch::data_bytes;
use model::{Cookie, MAX_NAME_BYTES, Object, TimeRange, UserTag};
use serde::{Deserialize, Serialize};

/// The type of a question that comes as a CloudEvent.
pub const QUESTION_TYPE: &str = "com.allezon.user-profile.question";
/// The type of the answer to it.
pub const ANSWER_TYPE: &str = "com.allezon.user-profile.answer";

/// The contract: above means this.
const MAX_LIMIT: usize = 200;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// What did a shopper do?
    Profile(Question),
    /// Erase a shopper.
    Erase(Cookie),
}

/// Whose tags, of when, at most how many in each list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose.
    pub cookie: Cookie,
    /// Of when.
    pub range: TimeRange,
    /// How many in each list, at most 200.
    pub limit: usize,
}

/// What a shopper did, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who.
    pub cookie: Cookie,
    /// What was looked at.
    pub views: Vec<UserTag>,
    /// What was bought.
    pub buys: Vec<UserTag>,
}

#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct QuestionData {
    cookie: String,
    time_range: String,
    limit: Option<serde_json::Value>,
}

#[derive(Serialize)]
struct AnswerData<'a> {
    cookie: &'a str,
    views: &'a [UserTag],
    buys: &'a [UserTag],
}

/// The question of a call: typed and complete, or refused.
pub fn decode(call: &Call) -> Result<Ask, Failure> {
    match call {
        Call::Http(request) => decode_request(request),
        Call::Event(event) => decode_event(event),
    }
}

/// The reply that carries an answer.
pub fn encode(answer: &Answer) -> Reply {
    let data = AnswerData { cookie: &answer.cookie.0, views: &answer.views, buys: &answer.buys };
    let json = serde_json::to_vec(&data).expect("a profile has no key or number that JSON cannot hold");
    Reply::Answer { json: json.into(), event_type: ANSWER_TYPE }
}

fn decode_request(request: &Request) -> Result<Ask, Failure> {
    let cookie = cookie(decode_segment("cookie", &request.segment)?.into_owned())?;
    if request.method == "DELETE" {
        return Ok(Ask::Erase(cookie));
    }
    let query = Query::parse(&request.query)?;
    let range = range(query.required("time_range")?)?;
    let limit = query.one("limit")?.map_or(Ok(MAX_LIMIT), limit)?;
    Ok(Ask::Profile(Question { cookie, range, limit }))
}

fn decode_event(event: &Event) -> Result<Ask, Failure> {
    let Object(data): Object<QuestionData> = serde_json::from_slice(&data_bytes(event))
        .map_err(|cause| Failure::refused(Refused::Malformed, None, cause.to_string()))?;
    let limit = match data.limit {
        None => MAX_LIMIT,
        Some(serde_json::Value::String(text)) => limit(&text)?,
        Some(value) => limit(&value.to_string())?,
    };
    Ok(Ask::Profile(Question { cookie: cookie(data.cookie)?, range: range(&data.time_range)?, limit }))
}

fn cookie(text: String) -> Result<Cookie, Failure> {
    if text.len() > MAX_NAME_BYTES {
        return Err(Failure::malformed("cookie", format!("must not be longer than {MAX_NAME_BYTES} bytes")));
    }
    Ok(Cookie(text))
}

fn range(text: &str) -> Result<TimeRange, Failure> {
    TimeRange::parse(text).map_err(|cause| Failure::malformed("time_range", cause.to_string()))
}

/// Any number of digits is a number; above the most means the most.
fn limit(text: &str) -> Result<usize, Failure> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::malformed("limit", "must be a number from 0"));
    }
    Ok(text.parse().unwrap_or(MAX_LIMIT).min(MAX_LIMIT))
}
