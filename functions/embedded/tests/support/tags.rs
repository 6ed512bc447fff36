//! Tags as text, exactly as they are answered, and the questions about them.

use super::allezon::Allezon;
use super::http::{Answer, Request, encoded};

/// A tag; its parts are text as it stands in JSON, so that any spelling can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) time: String,
    pub(crate) cookie: String,
    pub(crate) country: String,
    pub(crate) device: &'static str,
    pub(crate) action: &'static str,
    pub(crate) origin: String,
    /// JSON: `12486`, or `"12486"`.
    pub(crate) product_id: String,
    pub(crate) brand: String,
    pub(crate) category: String,
    pub(crate) price: i32,
}

/// The contract's.
impl Default for Tag {
    fn default() -> Self {
        Self {
            time: "2022-03-22T12:15:00.000Z".into(),
            cookie: "9WkYGxkiXBfpMIjBGURC".into(),
            country: "CL".into(),
            device: "PC",
            action: "VIEW",
            origin: "CAMPAIGN_321".into(),
            product_id: "12486".into(),
            brand: "Ebros_Gift".into(),
            category: "Trousers".into(),
            price: 28_969,
        }
    }
}

impl Tag {
    /// A view of this cookie at this time.
    pub(crate) fn view(cookie: &str, time: &str) -> Self {
        Self { cookie: cookie.into(), time: time.into(), ..Self::default() }
    }

    /// The JSON text, as it is answered.
    pub(crate) fn json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        format!(
            r#"{{"time":"{}","cookie":{},"country":{},"device":"{}","action":"{}","origin":{},"product_info":{{"product_id":{},"brand_id":{},"category_id":{},"price":{}}}}}"#,
            self.time,
            quoted(&self.cookie),
            quoted(&self.country),
            self.device,
            self.action,
            quoted(&self.origin),
            self.product_id,
            quoted(&self.brand),
            quoted(&self.category),
            self.price
        )
    }

    pub(crate) fn request(&self) -> Request {
        Request::post("/user_tags").header("content-type", "application/json").body(self.json())
    }
}

/// All of time that can be expressed, but its last millisecond.
pub(crate) const ALWAYS: &str = "0000-01-01T00:00:00_9999-12-31T23:59:59.999";

/// The question about a profile over all times.
pub(crate) fn profile_request(cookie: &str) -> Request {
    Request::post(format!("/user_profiles/{}?time_range={ALWAYS}", encoded(cookie)))
}

/// The text of a profile with these tags.
pub(crate) fn profile_text(cookie: &str, views: &[&Tag], buys: &[&Tag]) -> String {
    let list = |tags: &[&Tag]| tags.iter().map(|tag| tag.json()).collect::<Vec<_>>().join(",");
    let cookie = serde_json::Value::from(cookie);
    format!(r#"{{"cookie":{cookie},"views":[{}],"buys":[{}]}}"#, list(views), list(buys))
}

impl Allezon {
    /// Posts a tag that must be accepted.
    pub(crate) fn accept(&self, tag: &Tag) {
        self.done(&tag.request());
    }

    /// Asks what must be answered 204.
    pub(crate) fn done(&self, request: &Request) {
        let answer = self.ask(request);
        assert_eq!((answer.status, answer.text()), (204, ""), "{request:?}");
    }

    /// The profile of a cookie over all times, when it has this many views and buys.
    pub(crate) fn profile(&self, cookie: &str, (views, buys): (usize, usize)) -> Answer {
        super::eventually(|| {
            let answer = self.ask(&profile_request(cookie));
            let profile = answer.json();
            let has = |list: &str, wanted| profile[list].as_array().is_some_and(|list| list.len() == wanted);
            if has("views", views) && has("buys", buys) { Ok(answer) } else { Err(profile.to_string()) }
        })
    }

    /// Waits until a question's answer has this text.
    pub(crate) fn answers(&self, request: &Request, text: &str) {
        super::eventually(|| {
            let answer = self.ask(request);
            if (answer.status, answer.text()) == (200, text) {
                return Ok(());
            }
            Err(format!("{} {}\n  instead of {text}\n  to {}", answer.status, answer.text(), request.target))
        });
    }
}
