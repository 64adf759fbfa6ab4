//! The other end of the admin socket: what the command line and other tools ask a running host with.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::wire::{ConsoleReply, ConsoleRequest, PlanReply, ReloadReply, ReloadRequest, StatusReply};

/// Why a running host could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody answers at the socket.
    #[error("no host is running: nobody answers at {}", .path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// It took too long.
    #[error("the host did not answer within {0:?}")]
    Timeout(Duration),
    /// The connection or the answer was not what it should be.
    #[error("cannot ask the host at {}: {reason}", .path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
}

/// Asks one running host.
#[derive(Clone, Debug)]
pub struct AdminClient {
    path: PathBuf,
    timeout: Duration,
}

impl AdminClient {
    /// A client of the socket at `path` that waits for each answer no longer than `timeout`.
    pub fn new(path: impl Into<PathBuf>, timeout: Duration) -> Self {
        Self { path: path.into(), timeout }
    }

    /// What the host shows of itself.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn status(&self) -> Result<StatusReply, AdminError> {
        self.ask("GET", "/status", Vec::new()).await
    }

    /// What a reload would do.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn plan(&self, force: bool) -> Result<PlanReply, AdminError> {
        self.ask("GET", if force { "/plan?force=true" } else { "/plan" }, Vec::new()).await
    }

    /// Reloads.
    ///
    /// # Errors
    /// [`AdminError`]; a reload that failed is a [`ReloadReply`].
    pub async fn reload(&self, request: &ReloadRequest) -> Result<ReloadReply, AdminError> {
        let body = serde_json::to_vec(request).map_err(|error| self.broken(error))?;
        self.ask("POST", "/reload", body).await
    }

    /// Evaluates a line.
    ///
    /// # Errors
    /// [`AdminError`]; a line that failed is a [`ConsoleReply`].
    pub async fn console(&self, request: &ConsoleRequest) -> Result<ConsoleReply, AdminError> {
        let body = serde_json::to_vec(request).map_err(|error| self.broken(error))?;
        self.ask("POST", "/console", body).await
    }

    /// Its metrics, in Prometheus' text format.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn metrics(&self) -> Result<String, AdminError> {
        let text = self.fetch("GET", "/metrics", Vec::new()).await?;
        String::from_utf8(text.to_vec()).map_err(|error| self.broken(error))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        target: &str,
        body: Vec<u8>,
    ) -> Result<T, AdminError> {
        let answer = self.fetch(method, target, body).await?;
        serde_json::from_slice(&answer).map_err(|error| self.broken(error))
    }

    async fn fetch(&self, method: &str, target: &str, body: Vec<u8>) -> Result<Bytes, AdminError> {
        let answer = self.in_time(async {
            let response = self.send(method, target, body).await?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|error| self.broken(error))?.to_bytes();
            if !status.is_success() {
                return Err(self.broken(format!("{status}: {}", String::from_utf8_lossy(&body))));
            }
            Ok(body)
        });
        answer.await
    }

    async fn send(
        &self,
        method: &str,
        target: &str,
        body: Vec<u8>,
    ) -> Result<hyper::Response<Incoming>, AdminError> {
        let stream = UnixStream::connect(&self.path).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                AdminError::NotRunning { path: self.path.clone() }
            }
            _ => self.broken(error),
        })?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(error))?;
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(target).header("host", "graceful");
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| self.broken(error))?;
        sender.send_request(request).await.map_err(|error| self.broken(error))
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, AdminError>>) -> Result<T, AdminError> {
        tokio::time::timeout(self.timeout, answer).await.unwrap_or(Err(AdminError::Timeout(self.timeout)))
    }

    fn broken(&self, reason: impl std::fmt::Display) -> AdminError {
        AdminError::Broken { path: self.path.clone(), reason: reason.to_string() }
    }
}
