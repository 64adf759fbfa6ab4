//! The admin socket: what a running host is asked and told, as JSON over HTTP over a unix socket.
//!
//! | request | reply |
//! |---|---|
//! | `GET /status` | [`StatusReply`](crate::wire::StatusReply) |
//! | `GET /plan?force=true` | [`PlanReply`](crate::wire::PlanReply) |
//! | `POST /reload` with [`ReloadRequest`] | [`ReloadReply`] |
//! | `POST /console` with [`ConsoleRequest`] | [`ConsoleReply`](crate::wire::ConsoleReply) |
//! | `GET /history?last=20` | [`HistoryReply`](crate::wire::HistoryReply) |
//! | `GET /metrics` | metrics in Prometheus' text format |
//! | `GET /roles`, `POST /roles/forbid`, `POST /roles/allow` | [`RolesReply`](crate::wire::RolesReply) |
//! | `POST /roles/enable`, `/roles/disable` with [`NamesRequest`](crate::wire::NamesRequest) | [`ApplyReply`](crate::wire::ApplyReply) |
//! | `POST /roles/reload` | [`ReloadReply`] |
//! | `GET /config` | [`ConfigReply`](crate::wire::ConfigReply) |
//! | `POST /config/diff` with [`ConfigRequest`](crate::wire::ConfigRequest) | [`DiffReply`](crate::wire::DiffReply) |
//! | `POST /config/check`, `/config/apply` with the same; `POST /config/reset` | [`ApplyReply`](crate::wire::ApplyReply) |
//! | `GET /events` | the engine's events as server-sent events, from now on |

use std::io;
use std::sync::Arc;
use std::time::Duration;

use graceful_core::{Event, ReloadOptions};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

mod client;
mod path;
mod roles;
mod socket;

pub use client::{AdminClient, AdminError};
pub use path::{admin_path, app_folder};
pub(crate) use socket::AdminSocket;

use crate::apart::apart;
use crate::host::Host;
use crate::http::answer::{Body, failure, json_answer};
use crate::http::body;
use crate::http::serve::serve;
use crate::http::stream::{self, event_text};
use crate::metrics;
use crate::options::Cause;
use crate::wire::{ConsoleRequest, ReloadReply, ReloadRequest};

/// How many bytes a request may have: far more than any configuration does.
pub(crate) const LARGEST: usize = 16 << 20;

/// The admin side of one running host.
pub(crate) struct Admin {
    pub(crate) host: Host,
    pub(crate) listen: Option<String>,
    /// Ends the event streams.
    pub(crate) stop: CancellationToken,
}

/// How many reloads of the history are asked for; all that are kept, unless it is said.
fn last(uri: &hyper::Uri) -> usize {
    let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
    pairs.filter_map(|pair| pair.strip_prefix("last=")?.parse().ok()).next_back().unwrap_or(usize::MAX)
}

/// What a request says; no body says nothing.
async fn said<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Box<Response<Body>>> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, &parts.headers, LARGEST).await?;
    let text = if body.is_empty() { b"{}" } else { &body[..] };
    serde_json::from_slice(text).map_err(|error| bad("GR0400", &error.to_string()))
}

fn bad(code: &str, message: &str) -> Box<Response<Body>> {
    Box::new(failure(StatusCode::BAD_REQUEST, code, message))
}

impl Admin {
    /// Serves on a thread of its own, so that the host can be asked what holds it up. Returns whether every
    /// connection ended in time, once `stop` is told.
    pub(crate) fn serve(self, socket: AdminSocket, linger: Duration) -> io::Result<oneshot::Receiver<bool>> {
        let admin = Arc::new(self);
        apart("admin", async move {
            match socket.listen() {
                Ok(listener) => {
                    let stop = admin.stop.clone();
                    serve(listener, stop, linger, move |request| admin.clone().respond(request)).await
                }
                Err(error) => {
                    tracing::error!("the admin socket is not served: {error}");
                    false
                }
            }
        })
    }

    /// Answers one request.
    pub(crate) async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        self.answer(request).await.unwrap_or_else(|refused| *refused)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Box<Response<Body>>> {
        let path = request.uri().path().to_owned();
        Ok(match (request.method(), path.as_str()) {
            (&Method::GET, "/status") => json_answer(StatusCode::OK, &self.host.status(self.listen.clone())),
            (&Method::GET, "/plan") => {
                let force = request
                    .uri()
                    .query()
                    .is_some_and(|query| query.split('&').any(|pair| pair == "force=true"));
                json_answer(StatusCode::OK, &self.host.plan(force).await)
            }
            (&Method::GET, "/history") => {
                json_answer(StatusCode::OK, &self.host.history(last(request.uri())))
            }
            (&Method::POST, "/reload") => self.reload(request).await?,
            (&Method::POST, "/console") => self.console(request).await?,
            (&Method::GET, "/metrics") => metrics::answer(&self.host),
            (&Method::GET, "/events") => self.events(),
            (_, path) if roles::PATHS.contains(&path) => self.about_roles(request).await?,
            (_, "/status" | "/plan" | "/history" | "/reload" | "/console" | "/metrics" | "/events") => {
                failure(StatusCode::METHOD_NOT_ALLOWED, "GR0405", "method not allowed")
            }
            _ => failure(StatusCode::NOT_FOUND, "GR0404", &format!("there is no `{path}` here")),
        })
    }

    async fn console(&self, request: Request<Incoming>) -> Result<Response<Body>, Box<Response<Body>>> {
        let asked: ConsoleRequest = said(request).await?;
        Ok(json_answer(StatusCode::OK, &self.host.console(asked).await))
    }

    async fn reload(&self, request: Request<Incoming>) -> Result<Response<Body>, Box<Response<Body>>> {
        let asked: ReloadRequest = said(request).await?;
        let options = ReloadOptions {
            force: asked.force,
            check: asked.check,
            forgive_before_reload: asked.forgive_before_reload,
            ..ReloadOptions::default()
        };
        let result = self.host.reload(Cause::Admin, options).await;
        Ok(json_answer(StatusCode::OK, &ReloadReply::new(result)))
    }

    fn events(&self) -> Response<Body> {
        let events = self.host.0.events.subscribe();
        stream::events(events, self.stop.clone(), |event: Arc<Event>| {
            let value = serde_json::to_value(&*event).unwrap_or_default();
            let name = value.get("event").and_then(|name| name.as_str());
            event_text(Some(event.seq), name, &value.to_string())
        })
    }
}
