//! Servers that are slow, wrong, or gone: never a wrong number, never a long wait, and nothing is kept of it.

use names_http::{HttpNames, NamesOptions};
use store::{Error, Names};

use crate::server::{Act, Hostile, answer};
use crate::{BRAND, find, names, number, options, unavailable};

/// Whatever the first answer is: the reason that is given for it, and after it the true answer counts.
async fn check(first: Act, reason: &str) {
    let told = first.clone();
    let server = Hostile::start(move |_, body| match body {
        body if body.contains("\"x\"") => first.clone(),
        body if body.contains("[]") => answer("200 OK", r#"{"ids":[]}"#),
        _ => answer("200 OK", r#"{"ids":[7,8]}"#),
    })
    .await;
    let names = names(&server.url());
    let why = unavailable(number(&names, &["x", "a"]).await);
    assert!(why.contains(reason), "{told:?}: {why}");
    names.ready().await.expect("it answers this");
    assert_eq!(number(&names, &["a", "b"]).await.unwrap(), [Some(7), Some(8)], "{told:?}");
    assert_eq!(number(&names, &["b", "a"]).await.unwrap(), [Some(8), Some(7)], "{told:?}");
}

#[tokio::test]
async fn what_is_no_answer_is_not_believed() {
    for (body, reason) in [
        (r#"{"ids":[1]}"#, "1 where 2"),
        (r#"{"ids":[1,2,3]}"#, "3 where 2"),
        (r#"{"ids":[1,1]}"#, "two names"),
        (r#"{"ids":[1,null]}"#, "no number"),
        (r#"{"ids":[0,1]}"#, "no number"),
        (r#"{"ids":[1,99999999999]}"#, "no answer"),
        (r#"{"elements":["a","b"]}"#, "no answer"),
        ("\u{0}\u{1}", "no answer"),
        ("", "no answer"),
    ] {
        check(answer("200 OK", body), reason).await;
    }
}

#[tokio::test]
async fn each_status_is_told() {
    for (status, reason) in [
        ("503 Service Unavailable", "503: why"),
        ("500 Internal Server Error", "500: why"),
        ("404 Not Found", "404: why"),
        ("302 Found", "302: why"),
        ("204 No Content", "204"),
        ("400 Bad Request", "400: why"),
        ("413 Payload Too Large", "413: why"),
    ] {
        let body = if status.starts_with("204") { "" } else { "why" };
        check(answer(status, body), reason).await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"ids\":[1,2]}";
    let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for (act, reason) in [
        (Act::Send(b"\x16\x03\x01 what\r\n\r\n".to_vec()), "no answer"),
        (Act::SendAndClose(b"HTTP/1.1 20".to_vec()), "no answer"),
        (Act::SendAndClose(Vec::new()), "no answer"),
        (Act::SendAndClose(half.to_vec()), "broke off"),
        (Act::SendForEver(b"x: y\r\n".to_vec()), "no answer"),
        (Act::SendAndClose([&endless[..], b"5\r\n{\"ids\r\n"].concat()), "broke off"),
    ] {
        check(act, reason).await;
    }
}

#[tokio::test]
async fn an_endless_answer_has_an_end() {
    let server = Hostile::start(|_, _| {
        let length = 9 << 20;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        Act::Send([head.into_bytes(), vec![b' '; length]].concat())
    })
    .await;
    assert!(unavailable(find(&names(&server.url()), &["a"]).await).contains("broke off"));
}

#[tokio::test]
async fn who_is_silent_is_not_asked_again_at_once() {
    let server = Hostile::start(|_, _| Act::Silence).await;
    let options = NamesOptions { id_service_timeout_ms: 30, ..options(&server.url()) };
    let names = HttpNames::new(&options).unwrap();
    assert!(unavailable(number(&names, &["a"]).await).contains("within 30 ms"));
    for _ in 0..100 {
        assert!(unavailable(number(&names, &["a"]).await).contains("just failed"));
    }
    assert_eq!(server.requests(), 1);
    unavailable(names.ready().await);
    assert_eq!(server.requests(), 2, "who wants to know asks");
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_no_failure() {
    // Each connection answers one request, and is closed when the next one has been written to it.
    let server = Hostile::start(|request, _| match request {
        0 => answer("200 OK", r#"{"ids":[1]}"#),
        1 => Act::SendAndClose(Vec::new()),
        _ => answer("200 OK", r#"{"ids":[2]}"#),
    })
    .await;
    let names = names(&server.url());
    assert_eq!(number(&names, &["a"]).await.unwrap(), [Some(1)]);
    assert_eq!(number(&names, &["b"]).await.unwrap(), [Some(2)]);
    assert_eq!(server.requests(), 3);
}

#[tokio::test]
async fn nobody_there() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    assert!(unavailable(find(&names(&url), &["a"]).await).contains("onnect"));
    assert!(unavailable(find(&names("http://no.such.host.invalid"), &["a"]).await).contains("onnect"));
}

#[tokio::test]
async fn in_a_full_collection_who_has_a_number_is_told_it() {
    let server = Hostile::start(|_, body| match body.contains(r#""create_missing":true"#) {
        true => answer("507 Insufficient Storage", "{}"),
        false if body.contains("\"a\"") && body.contains("\"z\"") => answer(
            "200 OK",
            if body.find("\"a\"") < body.find("\"z\"") {
                r#"{"ids":[1,null]}"#
            } else {
                r#"{"ids":[null,1]}"#
            },
        ),
        false if body.contains("\"a\"") => answer("200 OK", r#"{"ids":[1]}"#),
        false => answer("200 OK", r#"{"ids":[null]}"#),
    })
    .await;
    let names = names(&server.url());
    assert!(matches!(number(&names, &["a", "z"]).await, Err(Error::Full(of)) if of == "brand"));
    assert_eq!(number(&names, &["a"]).await.unwrap(), [Some(1)]);
    assert!(matches!(number(&names, &["z"]).await, Err(Error::Full(_))));
    assert_eq!(find(&names, &["z"]).await.unwrap(), [None]);
}

#[tokio::test]
async fn names_are_not_believed_either() {
    let server = Hostile::start(|request, _| match request {
        0 => answer("200 OK", r#"{"elements":["a"]}"#),
        1 => answer("200 OK", r#"{"elements":["a",7]}"#),
        _ => answer("200 OK", r#"{"elements":["a",null]}"#),
    })
    .await;
    let names = names(&server.url());
    let numbers = [1, 2].map(|number| model::NameNumber::new(number).unwrap());
    unavailable(names.name(&BRAND, &numbers).await);
    unavailable(names.name(&BRAND, &numbers).await);
    assert_eq!(names.name(&BRAND, &numbers).await.unwrap(), [Some("a".into()), None]);
}
