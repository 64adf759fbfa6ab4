//! HTTP: a request finds its route in the live table, becomes one call, and its value one response.

use std::sync::Arc;

use graceful_core::{CallError, Engine, Value};
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio_util::sync::CancellationToken;

pub(crate) mod answer;
pub(crate) mod body;
mod request;
pub(crate) mod route;
mod routes;
pub(crate) mod serve;
pub(crate) mod stream;

use crate::topics::Topics;
use answer::{Answer, Body, answer, failed_call, failure};
use route::ROUTE;
use routes::{Match, Routes};

/// How many bytes a request's body may have where the manifest does not say.
pub(crate) const BODY_LIMIT: usize = 1 << 20;

/// The app's side of HTTP.
pub(crate) struct Site {
    pub(crate) engine: Engine,
    pub(crate) topics: Arc<Topics>,
    pub(crate) routes: Routes,
    pub(crate) body_limit: usize,
    pub(crate) dev: bool,
    /// Ends the event streams.
    pub(crate) stop: CancellationToken,
}

impl Site {
    pub(crate) fn new(engine: Engine, topics: Arc<Topics>, stop: CancellationToken) -> Self {
        Self { engine, topics, routes: Routes::new(), body_limit: BODY_LIMIT, dev: false, stop }
    }

    /// Answers one request.
    pub(crate) async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let matcher = self.routes.current(self.engine.world());
        let (key, values) = match matcher.find(parts.method.as_str(), parts.uri.path()) {
            Match::Found { key, values } => (key, values),
            Match::Method { allowed } => return body::unread(body, &parts.headers, not_allowed(&allowed)),
            Match::Nothing => return body::unread(body, &parts.headers, self.nothing()),
        };
        let body = match body::read(body, &parts.headers, self.body_limit).await {
            Ok(body) => body,
            Err(response) => return *response,
        };
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        // The call may have waited for a reload that gave the parameters other names.
        let request = move |key: &str| request::request_value(&parts, routes::params(key, values), body);
        match self.call(&key, request).await {
            Ok(value) => match answer(value) {
                Answer::Whole(response) => response,
                Answer::Events(topic) => {
                    stream::events(self.topics.subscribe(&topic), self.stop.clone(), stream::topic_event)
                }
            },
            // The route left between the match and the call.
            Err(CallError::NoModule { .. }) if !self.has(&key) => self.nothing(),
            Err(error) => {
                tracing::warn!(%method, path, code = %error.code(), "{error}");
                failed_call(&error, self.dev)
            }
        }
    }

    /// The call is a task of its own: a client that goes away does not leave it half done.
    async fn call(
        &self,
        key: &str,
        request: impl FnOnce(&str) -> Value + Send + 'static,
    ) -> Result<Value, CallError> {
        let (engine, key) = (self.engine.clone(), key.to_owned());
        let call =
            tokio::spawn(
                async move { engine.call_registered_with(ROUTE, &key, |key| vec![request(key)]).await },
            );
        call.await.unwrap_or_else(|error| {
            tracing::error!("a route's call did not end: {error}");
            Err(CallError::Stopped)
        })
    }

    fn has(&self, key: &str) -> bool {
        let table = &self.engine.world().table;
        table.at_key(ROUTE, key).is_ok_and(|at| table.snapshot().contains_key(&at))
    }

    fn nothing(&self) -> Response<Body> {
        if self.engine.status().generation == 0 {
            return failure(
                StatusCode::SERVICE_UNAVAILABLE,
                "GR0403",
                "the app is not loaded: its start failed",
            );
        }
        failure(StatusCode::NOT_FOUND, "GR0404", "not found")
    }
}

fn not_allowed(allowed: &[String]) -> Response<Body> {
    let mut response = failure(StatusCode::METHOD_NOT_ALLOWED, "GR0405", "method not allowed");
    if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}
