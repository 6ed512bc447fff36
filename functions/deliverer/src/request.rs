//! An event as a request: a POST in CloudEvents' binary mode.
//!
//! The SDK's own writer gives up at the first value that is no header; an event must not be stuck for that. As KafkaSource
//! does, and against the letter of the HTTP binding, what can stand in a header is written as it is: no SDK decodes it.

use bytes::Bytes;
use cloudevents::binding::http::header_prefix;
use cloudevents::{Data, Event};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What no header can hold, beside what is not ASCII.
const NOT_IN_HEADERS: &AsciiSet = CONTROLS;
/// And what a header loses at its ends.
const NOT_AT_THE_ENDS: &AsciiSet = &CONTROLS.add(b' ');

/// The request that hands an event over. An attribute with a name that no header can have is left out: it is none.
pub(crate) fn request(event: Event, sink: &Uri) -> Request<Full<Bytes>> {
    let mut event = event;
    let data = event.take_data();
    let mut request = Request::new(Full::new(bytes(data.2)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = sink.clone();
    let headers = request.headers_mut();
    for (name, attribute) in event.iter() {
        // The event's own attributes come first, and an extension of the same name is none.
        if let Ok(name) = HeaderName::try_from(header_prefix(name))
            && !headers.contains_key(&name)
            // Nobody takes tens of thousands of headers: what is left out decides nothing.
            && headers.try_insert(name, value(&attribute.to_string())).is_err()
        {
            break;
        }
    }
    if let Some(content_type) = data.0 {
        headers.insert(CONTENT_TYPE, value(&content_type));
    }
    if let Some(schema) = data.1 {
        headers.insert(HeaderName::from_static("ce-dataschema"), value(schema.as_str()));
    }
    request
}

fn bytes(data: Option<Data>) -> Bytes {
    match data {
        None => Bytes::new(),
        Some(Data::Binary(bytes)) => bytes.into(),
        Some(Data::String(text)) => text.into(),
        Some(Data::Json(value)) => value.to_string().into(),
    }
}

fn value(text: &str) -> HeaderValue {
    let kept = if text.trim_matches(' ') == text { NOT_IN_HEADERS } else { NOT_AT_THE_ENDS };
    let encoded = utf8_percent_encode(text, kept).to_string();
    HeaderValue::try_from(encoded).expect("visible ASCII and spaces are a header value")
}

#[cfg(test)]
mod tests {
    use cloudevents::event::ExtensionValue;
    use cloudevents::{AttributesReader, EventBuilder, EventBuilderV10};
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    use super::*;

    fn sink() -> Uri {
        Uri::from_static("http://worker:80/path")
    }

    fn header(request: &Request<Full<Bytes>>, name: &str) -> Option<String> {
        request.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned())
    }

    async fn body(request: Request<Full<Bytes>>) -> Bytes {
        request.into_body().collect().await.expect("it is there").to_bytes()
    }

    #[tokio::test]
    async fn attributes_are_headers_and_data_is_the_body() {
        let event = EventBuilderV10::new()
            .id("a 1%")
            .source("/s")
            .ty("t")
            .subject("who")
            .time("2022-03-22T12:15:00.5Z")
            .extension("partitionkey", "k")
            .extension("number", 5)
            .extension("flag", true)
            .data_with_schema("text/plain", "http://schema/", "text");
        let request = request(event.build().unwrap(), &sink());
        assert_eq!((request.method(), request.uri()), (&Method::POST, &sink()));
        for (name, expected) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "a 1%"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-subject", "who"),
            ("ce-time", "2022-03-22T12:15:00.500+00:00"),
            ("ce-partitionkey", "k"),
            ("ce-number", "5"),
            ("ce-flag", "true"),
            ("ce-dataschema", "http://schema/"),
            ("content-type", "text/plain"),
        ] {
            assert_eq!(header(&request, name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(request.headers().len(), 11);
        assert_eq!(body(request).await, "text");
    }

    #[tokio::test]
    async fn data_goes_as_it_came() {
        let event = EventBuilderV10::new().id("1").source("/s").ty("t");
        for (data, expected) in [
            (Data::Binary(vec![0, 255, b'{']), &[0, 255, b'{'][..]),
            (Data::String("{ }".into()), b"{ }"),
            (Data::Json("a".into()), b"\"a\""),
        ] {
            let event = event.clone().data("application/json", data).build().unwrap();
            let request = request(event, &sink());
            assert_eq!(header(&request, "content-type").as_deref(), Some("application/json"));
            assert_eq!(body(request).await, expected);
        }
        let request = request(event.build().unwrap(), &sink());
        assert_eq!((header(&request, "content-type"), body(request).await), (None, Bytes::new()));
    }

    #[test]
    fn what_no_header_can_hold_is_encoded() {
        for (text, expected) in [
            ("plain text, 100 % \"quoted\"", "plain text, 100 % \"quoted\""),
            ("Łódź\r\nx: y\0", "%C5%81%C3%B3d%C5%BA%0D%0Ax: y%00"),
            (" a b ", "%20a%20b%20"),
            ("", ""),
            ("\u{7f}\t", "%7F%09"),
        ] {
            assert_eq!(value(text), expected);
        }
    }

    #[test]
    fn too_many_attributes_do_not_break_it() {
        let mut event = EventBuilderV10::new().id("1").source("/s").ty("t").build().unwrap();
        for number in 0..50_000 {
            event.set_extension(&format!("x{number}"), String::new());
        }
        assert_eq!(request(event, &sink()).headers()["ce-id"], "1");
    }

    proptest! {
        #[test]
        fn no_event_breaks_it(id: String, subject: String, extensions: Vec<(String, String)>, data: Vec<u8>) {
            let event = EventBuilderV10::new().id(id).source("/s").ty("t").subject(subject);
            let mut event = event.data("x/\u{1}ł", data.clone()).build().unwrap();
            for (name, value) in &extensions {
                event.set_extension(name, ExtensionValue::String(value.clone()));
            }
            event.set_extension("id", "another".to_owned());
            let id = event.id().to_owned();
            let request = request(event, &sink());
            prop_assert_eq!(&request.headers()["ce-id"], &value(&id));
            let bytes = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(body(request));
            prop_assert_eq!(bytes, data);
        }
    }
}
