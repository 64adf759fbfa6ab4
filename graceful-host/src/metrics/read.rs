//! `GET /metrics` on an address of its own, for a Prometheus that cannot reach a unix socket.

use std::io;
use std::net::TcpListener as StdListener;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::MEDIA_TYPE;
use crate::apart::apart;
use crate::host::Host;
use crate::http::answer::{Body, failure, whole};
use crate::http::serve::serve;

/// Listens at `address`, to be served later.
pub(crate) fn bind(address: &str) -> io::Result<StdListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves nothing but metrics.
pub(crate) struct MetricsSite {
    pub(crate) host: Host,
    pub(crate) stop: CancellationToken,
}

impl MetricsSite {
    /// Serves on a thread of its own: metrics are asked for when everything else is busy.
    pub(crate) fn serve(
        self,
        listener: StdListener,
        linger: Duration,
    ) -> io::Result<oneshot::Receiver<bool>> {
        let Self { host, stop } = self;
        apart("metrics", async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    serve(listener, stop, linger, move |request| std::future::ready(respond(&host, &request)))
                        .await
                }
                Err(error) => {
                    tracing::error!("metrics are not served: {error}");
                    false
                }
            }
        })
    }
}

fn respond(host: &Host, request: &Request<Incoming>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => answer(host),
        (_, "/metrics") => failure(StatusCode::METHOD_NOT_ALLOWED, "GR0405", "method not allowed"),
        (_, path) => failure(StatusCode::NOT_FOUND, "GR0404", &format!("there is no `{path}` here")),
    }
}

/// The metrics as a response.
pub(crate) fn answer(host: &Host) -> Response<Body> {
    whole(StatusCode::OK, MEDIA_TYPE, host.metrics().into_bytes())
}
