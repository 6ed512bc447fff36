//! What reaches `user-tags`: one tag, as plain JSON or as the data of a CloudEvent.

use cloudevents::AttributesReader;
use function::{Call, Failure, Refused, Request};
use model::batch::data_bytes;
use model::{AcceptedTag, FieldError, OwnIdentity, UserTag};

/// The type under which a tag reaches a port that several functions share; alone on its port, `user-tags` takes any type.
pub const EVENT_TYPE: &str = "com.allezon.user-tag";

/// The longest `Idempotency-Key` in bytes.
const MAX_KEY_BYTES: usize = 1_024;

/// The tag of a call, with the identity that its client gave it.
pub fn decode(call: &Call) -> Result<AcceptedTag, Failure> {
    match call {
        Call::Http(request) => decode_request(request),
        Call::Event(event) => {
            let tag = decode_tag(&data_bytes(event))?;
            let identity = OwnIdentity::of_event(event.source().as_str(), event.id(), &tag);
            Ok(AcceptedTag { tag, identity: Some(identity) })
        }
    }
}

fn decode_request(request: &Request) -> Result<AcceptedTag, Failure> {
    let tag = decode_tag(&request.body)?;
    let mut keys = request.headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return Ok(AcceptedTag { tag, identity: None });
    };
    if keys.next().is_some() {
        return Err(Failure::malformed("Idempotency-Key", "is given more than once"));
    }
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(Failure::malformed("Idempotency-Key", format!("must have 1 to {MAX_KEY_BYTES} bytes")));
    }
    let key = std::str::from_utf8(key.as_bytes())
        .map_err(|_| Failure::malformed("Idempotency-Key", "must be UTF-8"))?;
    Ok(AcceptedTag { identity: Some(OwnIdentity::of_key(key, &tag)), tag })
}

fn decode_tag(text: &[u8]) -> Result<UserTag, Failure> {
    UserTag::from_json(text).map_err(|FieldError { field, reason }| {
        let field = (!field.is_empty()).then(|| field.into());
        Failure::refused(Refused::Malformed, field, reason)
    })
}
