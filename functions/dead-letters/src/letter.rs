//! What is noted on a letter: who refused the event, with which status and why, and where it stood.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloudevents::{AttributesReader, Data, Event};
use event_log::Recorded;
use serde_json::{Value, json};

/// Enough to see what it is; a thousand of these are told at most.
const EXCERPT_BYTES: usize = 2 << 10;
/// The attributes that KafkaSource and our deliverer add to what was refused, and where KafkaSource says it stood. The last is
/// what becomes of the header `Kne-Reason` that our functions answer with.
const NOTES: [&str; 6] = [DESTINATION, CODE, DATA, "knativekafkapartition", "knativekafkaoffset", "reason"];
/// The worker that refused it, as a URL.
const DESTINATION: &str = "knativeerrordest";
/// With which status.
const CODE: &str = "knativeerrorcode";
/// And what it said, in base64.
const DATA: &str = "knativeerrordata";

/// Who refused it.
pub fn refused_by(letter: &Event) -> String {
    note(letter, DESTINATION).unwrap_or_else(|| "nobody knows whom".to_owned())
}

/// The event as it was before it was refused.
pub fn without_notes(mut letter: Event) -> Event {
    for note in NOTES {
        letter.remove_extension(note);
    }
    letter
}

/// What a person is told of it.
pub(crate) fn told(partition: usize, letter: &Recorded) -> Value {
    let event = &letter.event;
    json!({
        "partition": partition,
        "position": letter.position.0,
        "put_aside_ms": letter.appended_ms,
        "id": event.id(),
        "source": event.source(),
        "type": event.ty(),
        "refused_by": refused_by(event),
        "code": note(event, CODE),
        "data": excerpt(event),
        "reason": note(event, DATA).map(|data| reason(&data)),
    })
}

/// The beginning of what is in it.
fn excerpt(event: &Event) -> Option<String> {
    let bytes = match event.data()? {
        Data::Binary(bytes) => bytes.clone(),
        Data::String(text) => text.clone().into_bytes(),
        Data::Json(value) => value.to_string().into_bytes(),
    };
    Some(String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT_BYTES)]).into_owned())
}

fn note(letter: &Event, name: &str) -> Option<String> {
    letter.extension(name).map(ToString::to_string)
}

/// What is not base64 is told as it stands.
fn reason(data: &str) -> String {
    let bytes = BASE64_STANDARD.decode(data);
    bytes.map_or_else(|_| data.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}
