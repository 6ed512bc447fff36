//! docs/openapi.json and docs/asyncapi.json against the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use event_log::Append;
use event_log_embedded::EmbeddedLog;
use id_service::NameLog;
use model::batch::{EVENT_TYPE, data_bytes};
use model::{Batch, BatchId, Collection, Cookie, Erasure, NameNumber, TopicEvent, UserTag};
use sealer::checkpoint::Checkpoint;
use serde_json::{Value, json};
use store::Names;

use crate::Fresh;
use crate::documented::{ASYNC, OPEN, conforms, resolved, validate};
use crate::support::http::{Answer, Request, encoded};

/// Every operation as (path, method, operation).
fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
    let paths = OPEN["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("a path item").iter();
        methods
            .filter(|(method, _)| *method != "parameters")
            .map(|(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn values(examples: &'static Value) -> impl Iterator<Item = &'static Value> {
    examples.as_object().into_iter().flatten().map(|(_, example)| &example["value"])
}

/// The requests that an operation's examples make: one for each body, or one without.
fn example_requests(path: &str, method: &str, operation: &'static Value) -> Vec<Request> {
    let mut target = path.to_owned();
    let mut query = Vec::new();
    let shared = OPEN["paths"][path]["parameters"].as_array();
    for parameter in shared.into_iter().chain(operation["parameters"].as_array()).flatten().map(resolved) {
        let name = parameter["name"].as_str().expect("a name");
        let example = &parameter["example"];
        let texts = example.as_array().map_or(vec![example], |several| several.iter().collect());
        for text in texts.into_iter().filter(|text| !text.is_null()) {
            let text = encoded(text.as_str().unwrap_or(&text.to_string()));
            match parameter["in"].as_str() {
                Some("path") => target = target.replace(&format!("{{{name}}}"), &text),
                _ => query.push(format!("{name}={text}")),
            }
        }
    }
    if !query.is_empty() {
        target = format!("{target}?{}", query.join("&"));
    }
    let plain = Request::new(&method.to_uppercase(), target);
    let contents = resolved(&operation["requestBody"])["content"].as_object();
    let bodies = contents.into_iter().flatten().flat_map(|(content_type, content)| {
        values(&content["examples"]).map(move |value| (content_type, value))
    });
    let mut requests: Vec<Request> = bodies
        .map(|(content_type, value)| {
            plain.clone().header("content-type", content_type).body(value.to_string())
        })
        .collect();
    let may_be_empty = resolved(&operation["requestBody"])["required"] != true;
    requests.extend(may_be_empty.then_some(plain));
    requests
}

#[test]
fn every_documented_operation_answers_its_examples() {
    let server = Fresh::start(&[]);
    for (path, method, operation) in operations() {
        for request in example_requests(path, method, operation) {
            let answer = server.checked(&request);
            assert!((200..300).contains(&answer.status), "{request:?} -> {answer:?}");
        }
    }
}

#[test]
fn every_path_takes_the_documented_methods_and_no_others() {
    let server = Fresh::start(&[]);
    for path in OPEN["paths"].as_object().expect("paths").keys() {
        let documented =
            operations().filter(|(known, ..)| known == path).map(|(_, method, _)| method.to_uppercase());
        let mut documented: BTreeSet<String> = documented.collect();
        if documented.contains("GET") {
            documented.insert("HEAD".into());
        }
        let answer = server.checked(&Request::new("PATCH", path.replace("{cookie}", "c")));
        answer.refusal(405);
        let allowed = answer.header("allow").expect("checked").split(", ").map(str::to_owned);
        assert_eq!(allowed.collect::<BTreeSet<_>>(), documented, "{path}");
    }
}

#[test]
fn the_server_gives_the_document() {
    let server = Fresh::start(&[]);
    assert_eq!(server.checked(&Request::get("/openapi.json")).json(), *OPEN);
    assert_eq!(OPEN["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(ASYNC["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_path_in_the_code_is_documented() {
    let documented: BTreeSet<&str> =
        OPEN["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    let rooms = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let pages = rooms.join("shared/runtime/src/pages.rs");
    let mut seen = BTreeSet::new();
    for file in sources(rooms).into_iter().chain([pages.clone()]) {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let shipped = text.split("#[cfg(test)]").next().expect("a first part");
        // A function's path or route and a fixed page, or a page of the runtime.
        let spellings: &[&str] = if file == pages {
            &["(\""]
        } else if file.ends_with("src/lib.rs") {
            &["path: \"", "(\"GET\", \"", "(\"POST\", \"", "(\"DELETE\", \"", ": &str = \""]
        } else {
            &["(\"GET\", \"", "(\"POST\", \"", ".page(\""]
        };
        for rest in spellings.iter().flat_map(|spelled| shipped.split(spelled).skip(1)) {
            let path = rest.split('"').next().expect("a first part");
            if path.starts_with('/') {
                assert!(documented.contains(path), "{path} in {} is not documented", file.display());
                seen.insert(path.to_owned());
            }
        }
    }
    let unseen: Vec<_> = documented.iter().filter(|path| !seen.contains(**path)).collect();
    assert_eq!(unseen, [&"/"], "the code has no other documented path that is spelled elsewhere");
}

/// The sources of the functions that clients ask. The simulator is a client itself, `shared` has no paths but in examples.
fn sources(room: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(room).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if entry.is_dir() && !["simulator", "shared", "tests", "benches", "target"].contains(&name) {
            files.extend(sources(&entry));
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push(entry);
        }
    }
    files
}

#[test]
fn examples_conform_to_their_schemas() {
    for (path, method, operation) in operations() {
        let responses = operation["responses"].as_object().expect("responses").values().map(resolved);
        let bodies = responses.chain([resolved(&operation["requestBody"])]);
        for content in
            bodies.filter_map(|body| body["content"].as_object()).flat_map(|contents| contents.values())
        {
            for example in values(&content["examples"]) {
                conforms(&content["schema"], example);
            }
        }
        assert!(operation["responses"].get("405").is_some(), "{method} {path}");
    }
    for message in messages() {
        for example in examples(message) {
            conforms(&message["headers"], &example["headers"]);
            conforms(message.get("payload").unwrap_or(&Value::Bool(true)), &example["payload"]);
            let headers = example["headers"].as_object().expect("headers");
            let named = headers.get("ce_type").or_else(|| headers.get("ce-type"));
            assert_eq!(named, Some(&message["name"]));
        }
    }
}

#[test]
fn schemas_refuse_what_the_contract_refuses() {
    let tag = &OPEN["paths"]["/user_tags"]["post"]["requestBody"]["content"]["application/json"];
    let example = values(&tag["examples"]).next().expect("an example");
    for (pointer, wrong) in [
        ("/time", json!("2022-03-22T12:15:00.000")),
        ("/time", json!("2022-03-22T12:15:00.0000000000Z")),
        ("/device", json!("pc")),
        ("/action", json!("LOOK")),
        ("/product_info/price", json!(2_147_483_648_i64)),
        ("/product_info/product_id", json!(1.5)),
        ("/product_info", json!({})),
    ] {
        let mut changed = example.clone();
        *changed.pointer_mut(pointer).expect("a field") = wrong;
        assert!(validate(&tag["schema"], &changed).is_err(), "{pointer}");
        assert!(UserTag::from_json(changed.to_string().as_bytes()).is_err(), "{pointer}");
    }
}

fn messages() -> impl Iterator<Item = &'static Value> {
    ASYNC["components"]["messages"].as_object().expect("messages").values()
}

fn examples(message: &'static Value) -> impl Iterator<Item = &'static Value> {
    message["examples"].as_array().into_iter().flatten()
}

fn message(event_type: &str) -> &'static Value {
    messages().find(|message| message["name"] == event_type).expect("documented")
}

/// The structured event of a message's example.
fn structured(example: &Value) -> Value {
    let mut event = json!({"datacontenttype": "application/json", "data": example["payload"]});
    for (name, value) in example["headers"].as_object().expect("headers") {
        if let Some(attribute) = name.strip_prefix("ce_").or_else(|| name.strip_prefix("ce-")) {
            event[attribute] = value.clone();
        }
    }
    event
}

#[test]
fn every_type_in_the_code_is_documented_and_vice_versa() {
    let of_questions = [id_service::event::ASKED, id_service::event::ANSWERED].concat();
    let in_code: BTreeSet<&str> = [
        EVENT_TYPE,
        Erasure::EVENT_TYPE,
        id_service::name_log::EVENT_TYPE,
        Checkpoint::EVENT_TYPE,
        user_tags::event::EVENT_TYPE,
        user_profiles::event::QUESTION_TYPE,
        user_profiles::event::ANSWER_TYPE,
        aggregates::event::QUESTION_TYPE,
        aggregates::event::ANSWER_TYPE,
        explore::event::QUESTION_TYPE,
        explore::event::ANSWER_TYPE,
        sealer::TICK_TYPE,
    ]
    .into_iter()
    .chain(of_questions)
    .collect();
    let documented: BTreeSet<&str> =
        messages().map(|message| message["name"].as_str().expect("a name")).collect();
    assert_eq!(documented, in_code);
}

#[test]
fn batches_go_through_the_model_and_come_out_equal() {
    let message = message(EVENT_TYPE);
    assert!(examples(message).count() >= 2);
    for example in examples(message) {
        let text = example["payload"].to_string();
        let batch = Batch::from_json(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        let again: Value = serde_json::from_slice(&batch.to_json()).expect("JSON");
        assert_eq!(again, example["payload"]);
        let event: cloudevents::Event = serde_json::from_value(structured(example)).expect("an event");
        let id = BatchId::from_event(&event).expect("a batch's identity");
        assert_eq!(TopicEvent::from_event(&event), Ok(TopicEvent::Accepted(id.clone(), batch.clone())));
        let written: Value = serde_json::to_value(batch.to_event(&id)).expect("an event is JSON");
        assert_eq!(
            (&written["id"], &written["source"]),
            (&example["headers"]["ce_id"], &example["headers"]["ce_source"])
        );
        let payload: Value = serde_json::from_slice(&data_bytes(&batch.to_event(&id))).expect("JSON");
        conforms(&message["payload"], &payload);
    }
}

#[test]
fn checkpoints_go_through_the_sealer_and_come_out_equal() {
    for example in examples(message(Checkpoint::EVENT_TYPE)) {
        let event: cloudevents::Event = serde_json::from_value(structured(example)).expect("an event");
        let checkpoint = Checkpoint::from_event(&event).expect("a checkpoint");
        let again: Value = serde_json::from_slice(&data_bytes(&checkpoint.to_event())).expect("JSON");
        assert_eq!(again, example["payload"]);
    }
}

#[test]
fn erasures_go_through_the_model_and_come_out_equal() {
    let message = message(Erasure::EVENT_TYPE);
    for example in examples(message) {
        let event: cloudevents::Event = serde_json::from_value(structured(example)).expect("an event");
        let erasure = Erasure::from_event(&event).expect("an erasure");
        let again: Value = serde_json::from_slice(&data_bytes(&erasure.to_event("/s", "0"))).expect("JSON");
        assert_eq!(again, example["payload"]);
    }
    let long = Erasure { cookie: Cookie("x".repeat(model::MAX_NAME_BYTES)), accepted_before_ms: u64::MAX };
    let payload: Value = serde_json::from_slice(&data_bytes(&long.to_event("/s", "0"))).expect("JSON");
    conforms(&message["payload"], &payload);
}

#[test]
fn names_have_the_documented_checksum() {
    for example in examples(message(id_service::name_log::EVENT_TYPE)) {
        let payload = &example["payload"];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&1_u64.to_be_bytes());
        hasher.update(&payload["known"].as_u64().expect("a number").to_be_bytes());
        let names = payload["names"].as_array().expect("a list");
        for text in std::iter::once(&payload["collection"]).chain(names) {
            let text = text.as_str().expect("a string");
            hasher.update(&(text.len() as u64).to_be_bytes()).update(text.as_bytes());
        }
        let checksum = hasher.finalize().to_hex()[..32].to_owned();
        assert_eq!(payload["checksum"], checksum);
        assert_eq!(example["headers"]["ce_id"], checksum);
    }
}

#[tokio::test]
async fn documented_names_are_read_from_a_log() {
    for example in examples(message(id_service::name_log::EVENT_TYPE)) {
        let directory = tempfile::tempdir().expect("a directory");
        let log = EmbeddedLog::open(directory.path(), Default::default()).expect("the log opens");
        let event: cloudevents::Event = serde_json::from_value(structured(example)).expect("an event");
        log.append(event).await.expect("appended");
        let names = NameLog::open(log).await.expect("the documented event is read");
        let payload = &example["payload"];
        let collection = Collection::new(payload["collection"].as_str().expect("text").to_owned());
        let texts =
            payload["names"].as_array().expect("a list").iter().map(|name| name.as_str().expect("text"));
        let numbers = names.find(&collection, &texts.collect::<Vec<_>>()).await.expect("found");
        let numbers: Vec<_> = numbers.into_iter().map(|number| number.map(NameNumber::value)).collect();
        assert_eq!(numbers, [Some(1), Some(2)]);
    }
}

#[test]
fn documented_http_events_are_taken_in_both_modes() {
    let server = Fresh::start(&[]);
    for channel in ASYNC["channels"].as_object().expect("channels").values() {
        let Some(path) = channel["address"].as_str().filter(|address| address.starts_with('/')) else {
            continue;
        };
        for message in channel["messages"].as_object().expect("messages").values() {
            let message =
                ASYNC.pointer(&message["$ref"].as_str().expect("a reference")[1..]).expect("it is there");
            for example in examples(message) {
                let binary = example["headers"]
                    .as_object()
                    .expect("headers")
                    .iter()
                    .fold(Request::post(path), |request, (name, value)| {
                        request.header(name, value.as_str().expect("text"))
                    });
                let body = example.get("payload").map(Value::to_string).unwrap_or_default();
                answers_an_event(&server, &binary.body(body));
                answers_an_event(&server, &Request::event(path, &structured(example)));
            }
        }
    }
}

fn answers_an_event(server: &Fresh, request: &Request) {
    let answer: Answer = server.checked(request);
    match answer.status {
        204 => {}
        200 => {
            let answered = message(answer.header("ce-type").expect("an event"));
            let headers: serde_json::Map<String, Value> =
                answer.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
            conforms(&answered["headers"], &Value::Object(headers));
            conforms(&answered["payload"], &answer.json());
        }
        other => panic!("{other}: {answer:?} to {request:?}"),
    }
}
