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

use super::LARGEST;
use crate::wire::{
    ApplyReply, ConfigReply, ConfigRequest, ConsoleReply, ConsoleRequest, DiffReply, HistoryReply,
    NamesRequest, PlanReply, ReloadReply, ReloadRequest, RolesReply, StatusReply,
};

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
    /// It was not asked, because it would not read so much.
    #[error("this has {size} bytes, and a host reads no more than {LARGEST}")]
    TooLarge {
        /// How many bytes there are.
        size: usize,
    },
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

    /// The last reloads, `last` of them.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn history(&self, last: usize) -> Result<HistoryReply, AdminError> {
        self.ask("GET", &format!("/history?last={last}"), Vec::new()).await
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

    /// Its roles.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn roles(&self) -> Result<RolesReply, AdminError> {
        self.ask("GET", "/roles", Vec::new()).await
    }

    /// Enables or disables roles.
    ///
    /// # Errors
    /// [`AdminError`]; what was refused or failed is an [`ApplyReply`].
    pub async fn enable_roles(&self, request: &NamesRequest, on: bool) -> Result<ApplyReply, AdminError> {
        let body = serde_json::to_vec(request).map_err(|error| self.broken(error))?;
        self.ask("POST", if on { "/roles/enable" } else { "/roles/disable" }, body).await
    }

    /// Reloads the roles.
    ///
    /// # Errors
    /// [`AdminError`]; a reload that failed is a [`ReloadReply`].
    pub async fn reload_roles(&self) -> Result<ReloadReply, AdminError> {
        self.ask("POST", "/roles/reload", Vec::new()).await
    }

    /// Forbids reloading roles, or allows it again.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn forbid_reload(&self, forbid: bool) -> Result<RolesReply, AdminError> {
        self.ask("POST", if forbid { "/roles/forbid" } else { "/roles/allow" }, Vec::new()).await
    }

    /// The configuration that is active.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn config(&self) -> Result<ConfigReply, AdminError> {
        self.ask("GET", "/config", Vec::new()).await
    }

    /// What is different in another configuration.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn diff_config(&self, request: &ConfigRequest) -> Result<DiffReply, AdminError> {
        let body = serde_json::to_vec(request).map_err(|error| self.broken(error))?;
        self.ask("POST", "/config/diff", body).await
    }

    /// Asks the roles whether a configuration would do.
    ///
    /// # Errors
    /// [`AdminError`]; a refusal is an [`ApplyReply`].
    pub async fn check_config(&self, request: &ConfigRequest) -> Result<ApplyReply, AdminError> {
        let body = serde_json::to_vec(request).map_err(|error| self.broken(error))?;
        self.ask("POST", "/config/check", body).await
    }

    /// Validates and applies a configuration.
    ///
    /// # Errors
    /// [`AdminError`]; what was refused or failed is an [`ApplyReply`].
    pub async fn apply_config(&self, request: &ConfigRequest) -> Result<ApplyReply, AdminError> {
        let body = serde_json::to_vec(request).map_err(|error| self.broken(error))?;
        self.ask("POST", "/config/apply", body).await
    }

    /// Goes back to the manifest's configuration.
    ///
    /// # Errors
    /// [`AdminError`]; what was refused or failed is an [`ApplyReply`].
    pub async fn reset_config(&self) -> Result<ApplyReply, AdminError> {
        self.ask("POST", "/config/reset", Vec::new()).await
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
        if body.len() > LARGEST {
            return Err(AdminError::TooLarge { size: body.len() });
        }
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
