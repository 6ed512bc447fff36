//! Who may call what is for the shop's staff.
//!
//! With credentials, whoever has one. Without, only who sits at this machine: the server listens on a loopback address and is
//! called by such a name. Pages of other sites may ask nothing in either case, also where a browser would add the credentials.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use function::Access;
use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode};

use crate::error::Error;
use crate::problem::Problem;

/// A token of fewer characters can be guessed.
const MIN_TOKEN: usize = 16;
/// What is longer is no file of credentials.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// Who calls where no credentials are wanted.
const NOBODY: &str = "-";
const NOT_CONFIGURED: &str =
    "this is for the shop's staff, and no credentials are configured: see --staff-file";

/// Set by browsers, and not by the pages in them.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// The host that the client asked, where an edge has called us by another one.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Knows the staff.
#[derive(Debug)]
pub(crate) enum Doorkeeper {
    /// Whoever sits at this machine may do all.
    ThisMachine,
    /// Nobody may: the server can be reached from elsewhere, and nobody has said who may.
    Closed,
    /// Who has a credential may.
    Staff(Vec<Member>),
}

/// One of the staff.
#[derive(Debug)]
pub(crate) struct Member {
    name: String,
    /// Of the token. That two digests are compared in a time that tells where they differ helps nobody.
    digest: blake3::Hash,
}

/// Who calls, as audit lines name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'d>(pub(crate) &'d str);

impl Doorkeeper {
    /// By this file, for a server at this address. A file that is named and not there closes the door, as nobody asked for it
    /// to stand open.
    pub(crate) fn new(file: Option<&Path>, address: SocketAddr) -> Result<Self, Error> {
        match file {
            None if address.ip().is_loopback() => Ok(Self::ThisMachine),
            None => Ok(Self::Closed),
            Some(file) => match read(file) {
                Ok(Some(text)) => parse(&text).map(Self::Staff).map_err(|reason| staff(file, reason)),
                Ok(None) => {
                    tracing::warn!(file = %file.display(), "there are no credentials: what is for the staff stays closed");
                    Ok(Self::Closed)
                }
                Err(reason) => Err(staff(file, reason)),
            },
        }
    }

    /// Lets a request in, or tells why not.
    pub(crate) fn admit(&self, access: Access, request: &Parts) -> Result<Caller<'_>, Problem> {
        if access == Access::Public {
            return Ok(Caller(NOBODY));
        }
        let forbidden = |reason| Problem::new(StatusCode::FORBIDDEN, reason);
        if is_of_another_site(request) {
            return Err(forbidden("pages of other sites may not ask this"));
        }
        match self {
            Self::Closed => Err(forbidden(NOT_CONFIGURED)),
            Self::ThisMachine if asked_host(request).is_some_and(|host| is_this_machine(host.host())) => {
                Ok(Caller(NOBODY))
            }
            Self::ThisMachine => {
                let reason = "without --staff-file this is answered to localhost only";
                Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, reason))
            }
            Self::Staff(members) => recognised(members, &request.headers)
                .map(|member| Caller(&member.name))
                .ok_or_else(|| Problem::unauthorized("this is for the shop's staff: say who you are")),
        }
    }
}

fn staff(file: &Path, reason: String) -> Error {
    Error::Staff { file: PathBuf::from(file), reason }
}

/// None where there is no such file.
fn read(file: &Path) -> Result<Option<String>, String> {
    match std::fs::metadata(file) {
        Ok(about) if about.len() > MAX_FILE_BYTES => Err("is too long".to_owned()),
        Ok(_) => std::fs::read_to_string(file).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Lines of `NAME:TOKEN`; empty ones and those that begin with `#` mean nothing. No token comes into what is said of them.
fn parse(text: &str) -> Result<Vec<Member>, String> {
    let mut members = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| format!("line {}: {what}", number + 1);
        let (name, token) = line.split_once(':').ok_or_else(|| wrong("is not NAME:TOKEN"))?;
        if name.is_empty() {
            return Err(wrong("has no name"));
        }
        if token.chars().count() < MIN_TOKEN {
            return Err(wrong(&format!("its token has fewer than {MIN_TOKEN} characters")));
        }
        members.push(Member { name: name.to_owned(), digest: blake3::hash(token.as_bytes()) });
    }
    if members.is_empty() { Err("names nobody".to_owned()) } else { Ok(members) }
}

/// By `Basic` with name and token, or by `Bearer` with the token alone.
fn recognised<'m>(members: &'m [Member], headers: &HeaderMap) -> Option<&'m Member> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        let digest = blake3::hash(rest.as_bytes());
        return members.iter().find(|member| member.digest == digest);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (name, token) = pair.split_once(':')?;
    let digest = blake3::hash(token.as_bytes());
    members.iter().find(|member| member.name == name && member.digest == digest)
}

/// Whether a page of another site has made a browser ask this. Following a link to a page here is no such thing.
fn is_of_another_site(request: &Parts) -> bool {
    let header = |name: &HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = header(&FETCH_SITE) {
        let follows = request.method == Method::GET && header(&FETCH_MODE) == Some("navigate");
        return !follows && !matches!(site, "same-origin" | "none");
    }
    // Browsers that do not tell, or do not trust the way that we are reached by.
    let Some(origin) = header(&ORIGIN) else { return false };
    let ours = header(&FORWARDED_HOST)
        .map(str::to_owned)
        .or_else(|| asked_host(request).map(|host| host.to_string()));
    let theirs = origin.split_once("://").map(|(_, authority)| authority);
    theirs.is_none() || !ours.zip(theirs).is_some_and(|(ours, theirs)| ours.eq_ignore_ascii_case(theirs))
}

/// The host that is asked: in the target over HTTP/2, in a header over HTTP/1.1.
fn asked_host(request: &Parts) -> Option<Authority> {
    let in_header = || request.headers.get(HOST)?.to_str().ok()?.parse().ok();
    request.uri.authority().cloned().or_else(in_header)
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn staff_of(text: &str) -> Doorkeeper {
        Doorkeeper::Staff(parse(text).expect("a good file"))
    }

    fn request(method: &str, headers: &[(&str, &str)]) -> Parts {
        let builder = Request::builder().method(method).uri("/console");
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.body(()).expect("a request").into_parts().0
    }

    fn status(door: &Doorkeeper, method: &str, headers: &[(&str, &str)]) -> u16 {
        door.admit(Access::Staff, &request(method, headers))
            .map_or_else(|problem| problem.status.as_u16(), |_| 200)
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn who_has_a_credential_is_let_in_by_name() {
        let door = staff_of(&format!("# shop\n\nann:{TOKEN}\nbob:another-token-of-his:with-colon\n"));
        let name = |value: &str| {
            door.admit(Access::Audited, &request("POST", &[("authorization", value)]))
                .map(|caller| caller.0)
                .ok()
        };
        assert_eq!(name(&format!("Bearer {TOKEN}")), Some("ann"));
        assert_eq!(name(&basic(&format!("ann:{TOKEN}"))), Some("ann"));
        assert_eq!(name(&basic("bob:another-token-of-his:with-colon")), Some("bob"));
        for wrong in [
            basic(&format!("bob:{TOKEN}")),
            basic(TOKEN),
            basic(""),
            "Basic !".to_owned(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            format!("Digest {TOKEN}"),
            TOKEN.to_owned(),
        ] {
            assert_eq!(name(&wrong), None, "{wrong}");
        }
        assert_eq!(status(&door, "POST", &[]), 401);
    }

    #[test]
    fn a_bad_file_is_told_without_its_tokens() {
        for (text, expected) in [
            ("", "names nobody"),
            ("# ann\n", "names nobody"),
            ("ann", "line 1: is not NAME:TOKEN"),
            ("\n:0123456789abcdef", "line 2: has no name"),
            ("ann:short", "line 1: its token has fewer than 16 characters"),
        ] {
            assert_eq!(parse(text).expect_err(text), expected);
        }
    }

    #[test]
    fn without_credentials_only_this_machine_is_answered() {
        let door = Doorkeeper::new(None, ([127, 0, 0, 1], 80).into()).expect("no file");
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.8.8.8", "[::1]:80"] {
            assert_eq!(status(&door, "GET", &[("host", host)]), 200, "{host}");
        }
        for host in ["shop.example", "localhost.example", "127.0.0.1.example:80", "10.0.0.1", "[::2]", ""] {
            assert_eq!(status(&door, "GET", &[("host", host)]), 421, "{host}");
        }
        assert_eq!(status(&door, "GET", &[]), 421);
        let elsewhere = Doorkeeper::new(None, ([0, 0, 0, 0], 80).into()).expect("no file");
        assert_eq!(status(&elsewhere, "GET", &[("host", "localhost")]), 403);
        let gone = Doorkeeper::new(Some(Path::new("/nowhere/staff")), ([127, 0, 0, 1], 80).into());
        assert_eq!(status(&gone.expect("closed"), "GET", &[("host", "localhost")]), 403);
    }

    #[test]
    fn other_sites_ask_nothing() {
        let token = format!("Bearer {TOKEN}");
        let door = staff_of(&format!("ann:{TOKEN}"));
        let asked = |method: &str, more: &[(&str, &str)]| {
            let mut headers = vec![("authorization", token.as_str()), ("host", "shop.example:8443")];
            headers.extend(more);
            status(&door, method, &headers)
        };
        assert_eq!(asked("POST", &[]), 200, "curl says nothing of a site");
        assert_eq!(asked("POST", &[("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(asked("GET", &[("sec-fetch-site", "none")]), 200);
        assert_eq!(asked("GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]), 200);
        assert_eq!(asked("POST", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]), 403);
        assert_eq!(asked("GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]), 403);
        assert_eq!(asked("POST", &[("sec-fetch-site", "same-site")]), 403);
        assert_eq!(asked("POST", &[("origin", "https://SHOP.example:8443")]), 200);
        assert_eq!(asked("POST", &[("origin", "https://evil.example")]), 403);
        assert_eq!(asked("POST", &[("origin", "null")]), 403);
        let behind_an_edge = [("x-forwarded-host", "shop.example"), ("origin", "https://shop.example")];
        assert_eq!(asked("POST", &behind_an_edge), 200);
    }

    #[test]
    fn what_is_public_asks_nobody() {
        let request = request("POST", &[("origin", "https://evil.example")]);
        assert!(Doorkeeper::Closed.admit(Access::Public, &request).is_ok());
    }
}
