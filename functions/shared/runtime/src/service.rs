//! The way of one request: found, read, answered, measured.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use cloudevents::{AttributesReader, Event};
use function::{Access, Call, Description, Failure, Reply};
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPECT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use percent_encoding::percent_decode_str;

use crate::access::Caller;
use crate::body::{self, Patience, Unread};
use crate::connection::Connection;
use crate::error::chain;
use crate::events::{self, Mode};
use crate::gate::{Held, Place};
use crate::outgoing::{Answer, Outgoing};
use crate::problem::Problem;
use crate::router::{Events, Handler, Path};
use crate::server::Shared;

const OVERLOADED: &str = "too many requests at once";

/// Answers one request, whatever it is.
pub(crate) async fn answer(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let started = Instant::now();
    let is_http2 = request.version() == Version::HTTP_2;
    let _running = connection.activity.begin(started, is_http2);
    let shared = &*connection.shared;
    let method = request.method().clone();
    let (parts, body) = request.into_parts();
    let found = shared.router.find(parts.uri.path()).map(|(index, segment)| (index, segment.to_owned()));
    let index = found.as_ref().map(|(index, _)| *index);
    let patience = Patience { until: (started + shared.limits.body).into(), is_polled: !is_http2 };
    let exchange = Exchange { connection: &connection, shared, patience, started };
    let response = exchange.respond(found, parts, body).await;
    shared.metrics.record(index, &method, response.status(), started.elapsed());
    Ok(response)
}

/// One request while it is being answered.
struct Exchange<'a> {
    connection: &'a Connection,
    shared: &'a Shared,
    patience: Patience,
    started: Instant,
}

/// What a request is to become.
enum Plan {
    /// A call of one of the runtime's own.
    Page(crate::pages::Page),
    /// A plain call of the function of this index, for these callers.
    Plain(usize, Access),
    /// An event for a function.
    Event(Mode, Events),
    /// Nothing.
    Refuse(Problem),
}

/// The function of this index, and who may call what is called of it.
#[derive(Clone, Copy)]
struct Target {
    function: usize,
    access: Access,
}

/// A request that has arrived whole.
struct Arrived<'a> {
    body: Bytes,
    /// The event that was in the body, and the function that takes it.
    event: Option<Box<Event>>,
    target: Target,
    _held: Held<'a>,
    _place: Place<'a>,
}

impl<'a> Exchange<'a> {
    async fn respond(&self, found: Option<(usize, String)>, parts: Parts, body: Incoming) -> Answer {
        let Some((index, segment)) = found else {
            let nothing = Problem::new(StatusCode::NOT_FOUND, "nothing is at this path");
            return self.refuse(nothing, body, &parts.headers).await.into_response(false);
        };
        let path = self.shared.router.at(index);
        let plan = plan(path, &parts);
        let is_event = matches!(plan, Plan::Event(..));
        let mut audit = None;
        let arrived = match plan {
            Plan::Page(page) => {
                self.leave(body, &parts.headers).await;
                return self.shared.pages.answer(page);
            }
            Plan::Refuse(problem) => Err(self.refuse(problem, body, &parts.headers).await),
            Plan::Plain(function, access) => match self.shared.doorkeeper.admit(access, &parts) {
                Ok(caller) => {
                    audit = (access == Access::Audited)
                        .then(|| Audit::of(caller, &parts.method, path.route, &segment));
                    self.arrive(Target { function, access }, body, &parts.headers).await
                }
                Err(problem) => Err(self.refuse(problem, body, &parts.headers).await),
            },
            Plan::Event(mode, events) => self.arrive_event(mode, events, body, &parts).await,
        };
        match arrived {
            Ok(arrived) => {
                let answer = self.call(path.route, segment, parts, arrived).await;
                if let Some(audit) = audit {
                    audit.write(answer.status());
                }
                answer
            }
            Err(problem) => {
                if let Some(context) = self.trace(path.route, &parts, None) {
                    crate::telemetry::end_span(&context, problem.status);
                }
                problem.into_response(is_event)
            }
        }
    }

    async fn arrive(
        &self,
        target: Target,
        body: Incoming,
        headers: &HeaderMap,
    ) -> Result<Arrived<'a>, Problem> {
        let limit = self.description(target.function).body_limit;
        let (body, held) = self.read(limit, body, headers).await?;
        self.enter(body, held, target, None)
    }

    async fn arrive_event(
        &self,
        mode: Mode,
        events: Events,
        body: Incoming,
        parts: &Parts,
    ) -> Result<Arrived<'a>, Problem> {
        let headers = &parts.headers;
        let limit = match events {
            Events::Function(function) => self.description(function).body_limit,
            // Whose it is, is known only when it has been read.
            Events::ByType => {
                self.shared.functions.iter().map(|f| f.description.body_limit).max().unwrap_or(0)
            }
        };
        let (body, held) = self.read(limit, body, headers).await?;
        let malformed = |reason| Problem::new(StatusCode::BAD_REQUEST, reason);
        let event = events::decode(mode, headers, &body)
            .map_err(|reason| malformed(format!("a broken CloudEvent: {reason}")))?;
        let function = match events {
            Events::Function(function) => function,
            Events::ByType => self.shared.router.of_type(event.ty()).ok_or_else(|| {
                malformed(format!("no function here takes events of the type {}", event.ty()))
            })?,
        };
        if body.len() > self.description(function).body_limit {
            return Err(too_large());
        }
        let access = self.description(function).events_from;
        self.shared.doorkeeper.admit(access, parts)?;
        self.enter(Bytes::new(), held, Target { function, access }, Some(Box::new(event)))
    }

    fn enter(
        &self,
        body: Bytes,
        held: Held<'a>,
        target: Target,
        event: Option<Box<Event>>,
    ) -> Result<Arrived<'a>, Problem> {
        let place = self.shared.gate.enter().ok_or_else(|| Problem::overloaded(OVERLOADED))?;
        Ok(Arrived { body, event, target, _held: held, _place: place })
    }

    /// The whole body, unless there are too many requests or it is not as it should be.
    async fn read(
        &self,
        limit: usize,
        body: Incoming,
        headers: &HeaderMap,
    ) -> Result<(Bytes, Held<'a>), Problem> {
        if self.shared.gate.is_full() {
            return Err(self.refuse(Problem::overloaded(OVERLOADED), body, headers).await);
        }
        let mut held = self.shared.gate.hold();
        match body::read(body, limit, &mut held, self.patience).await {
            Ok(body) => Ok((body, held)),
            Err(unread) => {
                self.connection.activity.leave_unread();
                Err(of_unread(unread).closing())
            }
        }
    }

    /// Refuses a request for its head alone. Its body is read first if it is short: proxies want that.
    async fn refuse(&self, problem: Problem, body: Incoming, headers: &HeaderMap) -> Problem {
        if self.leave(body, headers).await { problem } else { problem.closing() }
    }

    /// Leaves a body alone; says whether the connection can still be used.
    async fn leave(&self, body: Incoming, headers: &HeaderMap) -> bool {
        // Whoever asks whether to send a body is told not to by the answer.
        let is_gone = !headers.contains_key(EXPECT) && body::discard(body, self.patience).await;
        if !is_gone {
            self.connection.activity.leave_unread();
        }
        is_gone
    }

    async fn call(&self, route: &'static str, segment: String, parts: Parts, arrived: Arrived<'a>) -> Answer {
        let context = self.trace(route, &parts, arrived.event.as_deref());
        let is_event = arrived.event.is_some();
        let call = match arrived.event {
            Some(event) => Call::Event(event),
            None => Call::Http(function::Request {
                query: parts.uri.query().unwrap_or_default().to_owned(),
                method: parts.method,
                route,
                segment,
                headers: parts.headers,
                body: arrived.body,
            }),
        };
        let run = self.run(arrived.target, call, is_event);
        let Some(context) = context else { return run.await };
        let response = run.with_context(context.clone()).await;
        crate::telemetry::end_span(&context, response.status());
        response
    }

    async fn run(&self, Target { function, access }: Target, call: Call, is_event: bool) -> Answer {
        let mounted = &self.shared.functions[function];
        let calling = async {
            let calling = mounted.function.call(call);
            if access != Access::Staff {
                return calling.await;
            }
            // What the staff asks may take long, and nobody else is to pay for an answer that nobody waits for.
            tokio::select! {
                result = calling => result,
                () = self.connection.activity.client_gone() => Err(Failure::unavailable("the client has gone")),
            }
        };
        match AssertUnwindSafe(calling).catch_unwind().await {
            Ok(Ok(Reply::Done)) => {
                let mut done = Response::new(Outgoing::whole(Bytes::new()));
                *done.status_mut() = StatusCode::NO_CONTENT;
                done
            }
            Ok(Ok(Reply::Answer { json, event_type })) if is_event => {
                self.shared.answers.encode(json, event_type, &self.shared.sources[function])
            }
            Ok(Ok(Reply::Answer { json, .. })) => {
                let mut answer = Response::new(Outgoing::whole(json));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                answer
            }
            Ok(Ok(Reply::Document(document))) => {
                let mut answer = Response::new(Outgoing::whole(document.body));
                answer.headers_mut().extend(document.headers);
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(document.content_type));
                answer
            }
            Ok(Ok(Reply::Stream(stream))) => {
                let content_type = HeaderValue::from_static(stream.content_type);
                let Connection { activity, phases, .. } = self.connection;
                let mut answer = Response::new(Outgoing::stream(
                    stream,
                    activity,
                    phases.clone(),
                    self.shared.limits.stall,
                ));
                answer.headers_mut().insert(CONTENT_TYPE, content_type);
                answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                answer
            }
            Ok(Err(failure)) => {
                if let Failure::Broken(cause) = &failure {
                    tracing::error!(function = mounted.description.name, error = chain(&**cause), "broken");
                }
                Problem::of_failure(failure, is_event).into_response(is_event)
            }
            // The hook of `telemetry` has logged it.
            Err(_) => Problem::broken().into_response(is_event),
        }
    }

    fn trace(&self, route: &'static str, parts: &Parts, event: Option<&Event>) -> Option<Context> {
        let traces = self.shared.pages.telemetry.traces()?;
        let started = SystemTime::now() - self.started.elapsed();
        Some(traces.start_span(route, parts, event, started))
    }

    fn description(&self, function: usize) -> &'a Description {
        &self.shared.functions[function].description
    }
}

/// What an audit line says: who did what to whom, and what came of it.
struct Audit {
    caller: String,
    method: Method,
    route: &'static str,
    /// What stood in the place of the braces may be a shopper's: who knows it can tell that it was this one, nobody else can.
    subject: Option<blake3::Hash>,
}

impl Audit {
    fn of(caller: Caller<'_>, method: &Method, route: &'static str, segment: &str) -> Self {
        let plain = percent_decode_str(segment).collect::<Vec<u8>>();
        let subject = (!segment.is_empty()).then(|| blake3::hash(&plain));
        Self { caller: caller.0.to_owned(), method: method.clone(), route, subject }
    }

    fn write(&self, status: StatusCode) {
        let Self { caller, method, route, subject } = self;
        let subject = subject.map(|hash| hash.to_hex().to_string());
        tracing::info!(target: "audit", caller, %method, route, subject, status = status.as_u16(), "the staff has done this");
    }
}

/// What a request is to become, by its head.
fn plan(path: &Path, parts: &Parts) -> Plan {
    let is_post = parts.method == Method::POST;
    if let Some(events) = path.events.filter(|_| is_post) {
        match Mode::of(&parts.headers) {
            Mode::None => {}
            Mode::Foreign => {
                let detail = "a CloudEvent is taken in binary mode or as application/cloudevents+json";
                return Plan::Refuse(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
            }
            mode => return Plan::Event(mode, events),
        }
    }
    match path.handler(&parts.method) {
        Some(Handler::Page(page)) => Plan::Page(page),
        Some(Handler::Function(function, access)) => Plan::Plain(function, access),
        None if is_post && path.events.is_some() => {
            Plan::Refuse(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a CloudEvent is expected here"))
        }
        None => Plan::Refuse(Problem::wrong_method(path.allow.clone())),
    }
}

fn of_unread(unread: Unread) -> Problem {
    match unread {
        Unread::TooLarge => too_large(),
        Unread::Slow => Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        Unread::NoRoom => Problem::overloaded("too much data at once"),
        Unread::Broken => Problem::new(StatusCode::BAD_REQUEST, "the body broke off"),
    }
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than what is taken here")
}
