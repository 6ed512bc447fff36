//! The query of a request: decoded strictly, asked by name.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::Failure;

/// The most parameters that a query may have.
const MAX_PARAMETERS: usize = 64;

/// The parameters of a query, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Decodes `a=1&b=x+y%21`. A parameter that is not UTF-8 is refused.
    pub fn parse(text: &'a str) -> Result<Self, Failure> {
        let mut parameters = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(Failure::malformed(
                    "query",
                    format!("has more than {MAX_PARAMETERS} parameters"),
                ));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.push((decode("query", name)?, decode(name, value)?));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter; more than one is refused.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, Failure> {
        let mut values = self.all(name);
        let value = values.next();
        if values.next().is_some() {
            return Err(Failure::malformed(name, "is given more than once"));
        }
        Ok(value)
    }

    /// The value of a parameter that must be there.
    pub fn required(&self, name: &'static str) -> Result<&str, Failure> {
        self.one(name)?.ok_or_else(|| Failure::malformed(name, "is missing"))
    }

    /// All values of a parameter, in their order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }
}

/// A segment of a path, percent-decoded.
pub fn decode_segment<'a>(field: &str, text: &'a str) -> Result<Cow<'a, str>, Failure> {
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| Failure::malformed(field.to_owned(), "is not percent-encoded UTF-8"))
}

fn decode<'a>(field: &str, text: &'a str) -> Result<Cow<'a, str>, Failure> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Ok(Cow::Owned(decode_segment(field, &spaced)?.into_owned()));
    }
    decode_segment(field, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_and_keeps_the_order() {
        let query = Query::parse("a=1&b=x+y%21%2B&a=2&c&=3&&d=a=b").unwrap();
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.required("b").unwrap(), "x y!+");
        assert_eq!(query.one("c").unwrap(), Some(""));
        assert_eq!(query.one("d").unwrap(), Some("a=b"));
        assert_eq!(query.one("e").unwrap(), None);
        assert!(query.one("a").is_err() && query.required("e").is_err());
    }

    #[test]
    fn refuses_what_is_no_text() {
        assert!(Query::parse("a=%ff").is_err());
        assert!(Query::parse(&"a=1&".repeat(65)).is_err());
        assert_eq!(decode_segment("cookie", "a%2Fb%00").unwrap(), "a/b\0");
    }
}
