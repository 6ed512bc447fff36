//! Which function or page a path and a method belong to.

use function::Access;
use http::{HeaderValue, Method};

use crate::error::Error;
use crate::mounts::Mounts;
use crate::pages::Page;

/// All paths of a server. There are about a dozen, so that comparing them one by one beats any tree.
#[derive(Debug)]
pub(crate) struct Router {
    paths: Vec<Path>,
    /// The event types of each function, for events on `/`.
    types: Vec<(&'static str, usize)>,
}

/// A path and what is there.
#[derive(Debug)]
pub(crate) struct Path {
    /// As it was declared.
    pub(crate) route: &'static str,
    /// The route without its braces, where it has some: `/user_profiles/`.
    prefix: Option<&'static str>,
    handlers: Vec<(Method, Handler)>,
    /// Who takes the CloudEvents posted here.
    pub(crate) events: Option<Events>,
    pub(crate) allow: HeaderValue,
}

/// Who answers a plain request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// The runtime itself.
    Page(Page),
    /// The function of this index, for these callers.
    Function(usize, Access),
}

/// Who takes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Events {
    /// The function of this index.
    Function(usize),
    /// The function that has declared the event's type.
    ByType,
}

impl Router {
    pub(crate) fn new(mounts: &Mounts) -> Result<Self, Error> {
        let mut router = Self { paths: Vec::new(), types: Vec::new() };
        for (index, mounted) in mounts.functions.iter().enumerate() {
            router.add_function(index, &mounted.description)?;
        }
        for (path, page) in Page::all(&mounts.pages) {
            router.add(path, Method::GET, Handler::Page(page))?;
        }
        let root = match mounts.functions.len() {
            0 => None,
            1 => Some(Events::Function(0)),
            _ => Some(Events::ByType),
        };
        if let Some(root) = root {
            router.path("/").events.get_or_insert(root);
        }
        for path in &mut router.paths {
            path.allow = path.allowed();
        }
        Ok(router)
    }

    /// The path that a request's path means, its index, and what stands in the place of the braces.
    pub(crate) fn find<'r>(&self, requested: &'r str) -> Option<(usize, &'r str)> {
        let requested = match requested.strip_suffix('/') {
            Some(shorter) if !shorter.is_empty() => shorter,
            _ => requested,
        };
        let exact = |path: &Path| path.prefix.is_none() && path.route == requested;
        if let Some(index) = self.paths.iter().position(exact) {
            return Some((index, ""));
        }
        let (prefix, segment) = requested.split_at(requested.rfind('/')? + 1);
        let braced = |path: &Path| path.prefix == Some(prefix) && !segment.is_empty();
        self.paths.iter().position(braced).map(|index| (index, segment))
    }

    pub(crate) fn at(&self, index: usize) -> &Path {
        &self.paths[index]
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &'static str> {
        self.paths.iter().map(|path| path.route)
    }

    /// The function that has declared this type of event.
    pub(crate) fn of_type(&self, event_type: &str) -> Option<usize> {
        self.types.iter().find(|(declared, _)| *declared == event_type).map(|(_, function)| *function)
    }

    fn add_function(&mut self, index: usize, description: &function::Description) -> Result<(), Error> {
        for route in description.routes {
            let method = Method::from_bytes(route.method.as_bytes()).expect("a route's method is a token");
            self.add(route.path, method, Handler::Function(index, route.access))?;
        }
        let path = self.path(description.path);
        if path.events.replace(Events::Function(index)).is_some() {
            return Err(Error::Clash { method: "event", path: description.path });
        }
        self.types.extend(description.events.iter().map(|event_type| (*event_type, index)));
        Ok(())
    }

    fn add(&mut self, route: &'static str, method: Method, handler: Handler) -> Result<(), Error> {
        let path = self.path(route);
        if path.handler(&method).is_some() {
            return Err(Error::Clash { method: known(&method), path: route });
        }
        path.handlers.push((method, handler));
        Ok(())
    }

    fn path(&mut self, route: &'static str) -> &mut Path {
        let index = self.paths.iter().position(|path| path.route == route).unwrap_or_else(|| {
            self.paths.push(Path::new(route));
            self.paths.len() - 1
        });
        &mut self.paths[index]
    }
}

impl Path {
    fn new(route: &'static str) -> Self {
        let prefix = route.ends_with('}').then(|| route.rfind('{').map(|at| &route[..at])).flatten();
        Self { route, prefix, handlers: Vec::new(), events: None, allow: HeaderValue::from_static("") }
    }

    /// Who answers this method here. A page for GET is one for HEAD too.
    pub(crate) fn handler(&self, method: &Method) -> Option<Handler> {
        let asked = if method == Method::HEAD { &Method::GET } else { method };
        self.handlers.iter().find(|(taken, _)| taken == asked).map(|(_, handler)| *handler)
    }

    fn allowed(&self) -> HeaderValue {
        let mut methods: Vec<&str> = self.handlers.iter().map(|(method, _)| method.as_str()).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        if self.events.is_some() && !methods.contains(&"POST") {
            methods.push("POST");
        }
        methods.sort_unstable();
        HeaderValue::try_from(methods.join(", ")).expect("tokens are a header value")
    }
}

fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "DELETE" => "DELETE",
        _ => "a method of",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use function::{Call, Description, Failure, Function, Reply, Route};

    use super::*;

    struct Described(Description);

    impl Function for Described {
        fn describe(&self) -> Description {
            self.0
        }

        async fn call(&self, _: Call) -> Result<Reply, Failure> {
            Ok(Reply::Done)
        }
    }

    const PROFILES: Description = Description {
        name: "user-profiles",
        path: "/user_profiles",
        routes: const {
            &[
                Route::public("POST", "/user_profiles/{cookie}"),
                Route::public("DELETE", "/user_profiles/{cookie}"),
            ]
        },
        events: &["profile.asked"],
        events_from: Access::Public,
        body_limit: 1,
    };
    const TAGS: Description = Description {
        name: "user-tags",
        path: "/user_tags",
        routes: const { &[Route::public("POST", "/user_tags")] },
        events: &["tag.sent"],
        events_from: Access::Public,
        body_limit: 1,
    };

    fn router(functions: &[Description]) -> Result<Router, Error> {
        let mounts = Mounts::new("test", "0").page("/openapi.json", "application/json", "{}");
        Router::new(&functions.iter().fold(mounts, |mounts, f| mounts.mount(Arc::new(Described(*f)))))
    }

    fn found<'r>(router: &Router, path: &'r str) -> Option<(&'static str, &'r str)> {
        router.find(path).map(|(index, segment)| (router.at(index).route, segment))
    }

    #[test]
    fn paths_are_found_with_and_without_a_slash_at_the_end() {
        let router = router(&[TAGS, PROFILES]).expect("no clash");
        for (path, expected) in [
            ("/user_tags", Some(("/user_tags", ""))),
            ("/user_tags/", Some(("/user_tags", ""))),
            ("/user_tags//", None),
            ("/user_tags/x", None),
            ("/user_tag", None),
            ("/user_profiles/a%2Fb", Some(("/user_profiles/{cookie}", "a%2Fb"))),
            ("/user_profiles/a/", Some(("/user_profiles/{cookie}", "a"))),
            ("/user_profiles/{cookie}", Some(("/user_profiles/{cookie}", "{cookie}"))),
            ("/user_profiles/", Some(("/user_profiles", ""))),
            ("/user_profiles/a/b", None),
            ("/openapi.json", Some(("/openapi.json", ""))),
            ("/", Some(("/", ""))),
            ("//", Some(("/", ""))),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(found(&router, path), expected, "{path}");
        }
    }

    #[test]
    fn allow_names_what_a_path_takes() {
        let router = router(&[TAGS, PROFILES]).expect("no clash");
        let allow = |path| router.find(path).map(|(index, _)| router.at(index).allow.clone());
        assert_eq!(allow("/user_profiles/a").expect("a path"), "DELETE, POST");
        assert_eq!(allow("/user_profiles").expect("a path"), "POST");
        assert_eq!(allow("/health").expect("a path"), "GET, HEAD");
        assert_eq!(allow("/").expect("a path"), "POST");
    }

    #[test]
    fn events_on_the_root_go_to_the_only_function_or_by_type() {
        let alone = router(&[TAGS]).expect("no clash");
        let (root, _) = alone.find("/").expect("a root");
        assert_eq!(alone.at(root).events, Some(Events::Function(0)));
        let shared = router(&[TAGS, PROFILES]).expect("no clash");
        let (root, _) = shared.find("/").expect("a root");
        assert_eq!(shared.at(root).events, Some(Events::ByType));
        assert_eq!(shared.of_type("profile.asked"), Some(1));
        assert_eq!(shared.of_type("nobody.knows"), None);
    }

    #[test]
    fn two_functions_on_one_route_are_refused() {
        assert!(matches!(router(&[TAGS, TAGS]), Err(Error::Clash { method: "POST", path: "/user_tags" })));
        let events_only = Description { routes: &[], ..TAGS };
        assert!(matches!(router(&[TAGS, events_only]), Err(Error::Clash { method: "event", .. })));
    }
}
