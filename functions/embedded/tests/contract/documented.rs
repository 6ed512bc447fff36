//! docs/openapi.json as a judge: is an answer what the document says?

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::support::http::{Answer, Request};

const OPENAPI: &str = include_str!("../../../../docs/openapi.json");
const ASYNCAPI: &str = include_str!("../../../../docs/asyncapi.json");

/// The document of HTTP.
pub(crate) static OPEN: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(OPENAPI).expect("JSON"));
/// The document of events.
pub(crate) static ASYNC: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(ASYNCAPI).expect("JSON"));

/// The schemas of both; a name that stands in both would be one too many.
static SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut schemas = Map::new();
    for document in [&*OPEN, &*ASYNC] {
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            let twice = schemas.insert(name.clone(), schema.clone());
            assert_eq!(twice, None, "{name} stands in both documents");
        }
    }
    schemas
});

/// Panics where a value is not what a schema of either document says.
pub(crate) fn conforms(schema: &Value, value: &Value) {
    if let Err(error) = validate(schema, value) {
        panic!("{error}\n  in {value}\n  by {schema}");
    }
}

/// What is wrong with a value.
pub(crate) fn validate(schema: &Value, value: &Value) -> Result<(), String> {
    static COMPILED: LazyLock<Mutex<HashMap<String, &'static Validator>>> = LazyLock::new(Mutex::default);
    let validator =
        *COMPILED.lock().expect("nobody panics while holding it").entry(schema.to_string()).or_insert_with(
            || {
                // The document of events refers to the other one, which stands beside it here.
                let root = json!({"allOf": [schema], "components": {"schemas": &*SCHEMAS}});
                let text = root.to_string().replace("openapi.json#/", "#/");
                let root: Value = serde_json::from_str(&text).expect("JSON");
                let validator =
                    jsonschema::draft202012::new(&root).unwrap_or_else(|error| panic!("{error}: {schema}"));
                Box::leak(Box::new(validator))
            },
        );
    validator.validate(value).map_err(|error| format!("{error} at {}", error.instance_path()))
}

/// What `$ref` stands for, where there is one.
pub(crate) fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            OPEN.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => value,
    }
}

/// The documented path that a request's target means.
pub(crate) fn path_of(target: &str) -> Option<&'static str> {
    let path = target.split('?').next().expect("a first part");
    let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    let mut paths = OPEN["paths"].as_object().expect("paths").keys();
    let is_profile = path.strip_prefix("/user_profiles/").is_some_and(|cookie| !cookie.contains('/'));
    let is_known = paths.clone().any(|known| known == path);
    let wanted = match path {
        _ if is_profile => "/user_profiles/{cookie}",
        _ if path.starts_with("/console/") && !is_known => "/console/{asset}",
        path => path,
    };
    paths.find(|known| *known == wanted).map(String::as_str)
}

/// Panics where an answer is not documented for its request.
pub(crate) fn check(request: &Request, answer: &Answer) {
    let told =
        format!("{} {} -> {answer:?}", request.method, request.target.chars().take(200).collect::<String>());
    let Some(path) = path_of(&request.target) else {
        assert_eq!(answer.status, 404, "{told}");
        return conforms(&json!({"$ref": "#/components/schemas/Problem"}), &answer.json());
    };
    let method = request.method.to_lowercase().replace("head", "get");
    let operations = &OPEN["paths"][path];
    let Some(operation) = operations.get(&method) else {
        assert_eq!(answer.status, 405, "{told}");
        let known = ["get", "post", "delete"].into_iter().find_map(|method| operations.get(method));
        return check_response(&known.expect("a path has a method")["responses"]["405"], answer, &told);
    };
    let response = operation["responses"].get(answer.status.to_string());
    check_response(response.unwrap_or_else(|| panic!("not documented: {told}")), answer, &told);
}

fn check_response(response: &'static Value, answer: &Answer, told: &str) {
    let response = resolved(response);
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let is_required = resolved(header)["required"] == true;
        assert!(!is_required || answer.header(&name.to_lowercase()).is_some(), "{name} is missing: {told}");
    }
    let Some(contents) = response["content"].as_object() else {
        assert!(answer.body.is_empty(), "a body: {told}");
        return;
    };
    let content_type =
        answer.header("content-type").and_then(|full| full.split(';').next()).unwrap_or_default();
    let content = contents.get(content_type).unwrap_or_else(|| panic!("another content type: {told}"));
    if content_type.ends_with("json") && !answer.body.is_empty() {
        conforms(&content["schema"], &answer.json());
    }
}
