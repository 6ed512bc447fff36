//! The page: files that are a part of the program.

use std::io::Write;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use function::{Document, Failure, Refused, Reply};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What is shown where no file is named.
const HOME: &str = "console.html";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
/// Nothing is taken from elsewhere, nothing runs that is not a file of ours, nobody frames us. Charts are images made by the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file as it is, and compressed.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    plain: Bytes,
    gzip: Bytes,
}

macro_rules! assets {
    ($($name:literal: $content_type:expr),* $(,)?) => {
        [$(($name, $content_type, include_bytes!(concat!("../page/", $name)).as_slice())),*]
    };
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let files = assets! {
        "console.html": HTML,
        "console.css": CSS,
        "icon.svg": "image/svg+xml",
        "ask.js": JS,
        "chart.js": JS,
        "console.js": JS,
        "dom.js": JS,
        "explore.js": JS,
        "filters.js": JS,
        "functions.js": JS,
        "letters.js": JS,
        "now.js": JS,
        "plot.js": JS,
        "question.js": JS,
        "shopper.js": JS,
        "theme.js": JS,
    };
    files.into_iter().map(|(name, content_type, file)| Asset::new(name, content_type, file)).collect()
});

impl Asset {
    fn new(name: &'static str, content_type: &'static str, file: &'static [u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let written = encoder.write_all(file).and_then(|()| encoder.finish());
        let gzip = written.expect("a vector takes all").into();
        Self { name, content_type, plain: Bytes::from_static(file), gzip }
    }
}

/// The file of this name; the page where there is none.
pub(crate) fn asset(name: &str, headers: &HeaderMap) -> Result<Reply, Failure> {
    let name = if name.is_empty() { HOME } else { name };
    let unknown = || Failure::refused(Refused::Unknown, None, "the console has no such file");
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or_else(unknown)?;
    let mut with: Vec<(HeaderName, HeaderValue)> = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // A new release is a new page; some 30 KiB are not worth asking whether it is.
        (CACHE_CONTROL, "no-cache"),
        (VARY, "accept-encoding"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .into();
    let body = if takes_gzip(headers) {
        with.push((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        asset.gzip.clone()
    } else {
        asset.plain.clone()
    };
    Ok(Reply::Document(Document { content_type: asset.content_type, headers: with, body }))
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    codings.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(weight.trim(), "q=0" | "q=0.0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page must load in this, over the wire.
    const MOST_BYTES: usize = 150 << 10;

    fn document(name: &str, accept: &'static str) -> Document {
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
        match asset(name, &headers) {
            Ok(Reply::Document(document)) => document,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_files_together_are_small() {
        let all: usize = ASSETS.iter().map(|asset| asset.gzip.len()).sum();
        assert!(all < MOST_BYTES, "{all} bytes");
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/page")).expect("the page's folder");
        for file in folder {
            let name = file.expect("a file").file_name().into_string().expect("UTF-8");
            assert!(ASSETS.iter().any(|asset| asset.name == name), "{name}");
        }
    }

    #[test]
    fn a_file_is_compressed_for_who_takes_that() {
        let coded = |accept| document("", accept).headers.iter().any(|(name, _)| name == CONTENT_ENCODING);
        assert!(coded("gzip, br") && coded("br;q=1.0, GZIP;q=0.5"));
        assert!(!coded("") && !coded("br") && !coded("gzip;q=0"));
        assert!(document("", "").body.starts_with(b"<!"));
    }

    #[test]
    fn nothing_else_is_served() {
        for name in ["console", "../Cargo.toml", "..%2FCargo.toml", "console.js/"] {
            let refused = asset(name, &HeaderMap::new());
            assert!(
                matches!(refused, Err(Failure::Refused(refusal)) if refusal.kind == Refused::Unknown),
                "{name}"
            );
        }
    }
}
