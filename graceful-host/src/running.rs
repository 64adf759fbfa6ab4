//! A host that serves: sockets, the first load, the watcher, and the way down.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use graceful_core::{ReloadOptions, ShutdownOptions};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, AdminSocket, admin_path};
use crate::apart::apart;
use crate::host::{Host, HostError};
use crate::http::serve::serve;
use crate::http::{BODY_LIMIT, Site};
use crate::metrics::{self, MetricsSite};
use crate::options::Cause;
use crate::watch::Watch;
use crate::wire::{Failure, Summary};
use crate::{crash, ending, watchman};

/// How long open connections may take to end where the manifest does not say.
const LINGER: Duration = Duration::from_secs(10);

/// How much longer than they take those are waited for whose time is limited by themselves.
const LATER: Duration = Duration::from_secs(1);

/// A host that serves. Dropping it without [`stop`](Running::stop) leaves it serving until the runtime ends.
pub struct Running {
    host: Host,
    address: Option<SocketAddr>,
    admin: Option<PathBuf>,
    metrics: Option<SocketAddr>,
    first: Result<Summary, Failure>,
    /// Ends what begins new work: accepting, watching, event streams.
    stop: CancellationToken,
    /// Ends what shows the host, once there is nothing more to be seen.
    over: CancellationToken,
    site: Option<JoinHandle<bool>>,
    admin_site: Option<oneshot::Receiver<bool>>,
    metrics_site: Option<oneshot::Receiver<bool>>,
}

impl Host {
    /// Loads the app and serves it. In `dev` an app that does not load is served as such, and waited for.
    ///
    /// # Errors
    /// A socket cannot be made, the folder cannot be watched, or the app does not load.
    pub async fn start(&self) -> Result<Running, HostError> {
        let app = self.app();
        let options = &self.0.options;
        // First, because its error says that the app is running already.
        let admin = self.bind_admin()?;
        let listener = match options.listen.as_ref().or(app.listen.as_ref()) {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let metrics = self.bind_metrics()?;
        let watch = match options.watch.unwrap_or(app.reload.watch) {
            true => Some(Watch::new(self.0.sources.clone(), app.reload.debounce)?),
            false => None,
        };
        let failed =
            |error: std::io::Error| HostError::Setting(format!("cannot look out for stuck code: {error}"));
        watchman::begin(self).map_err(failed)?;
        self.0.history.begin();
        let first = self.reload(Cause::Start, ReloadOptions::default()).await;
        if let (Err(failure), false) = (&first, options.dev) {
            if self.engine().status().generation > 0 {
                // The modules are live, and the roles are not to be.
                self.shutdown(ShutdownOptions::default()).await;
            }
            self.0.history.end(false);
            return Err(HostError::Start(Box::new(failure.clone())));
        }
        let (stop, over) = (CancellationToken::new(), CancellationToken::new());
        let linger = app.limits.shutdown.unwrap_or(LINGER);
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let site = listener.map(|listener| tokio::spawn(self.serve_app(listener, linger, stop.clone())));
        let path = admin.as_ref().map(|(path, _)| path.clone());
        let admin_site = match admin {
            Some((path, socket)) => {
                let listen = address.map(|address| address.to_string());
                let admin = Admin { host: self.clone(), listen, stop: over.clone() };
                let failed = |error: std::io::Error| HostError::Admin { path, reason: error.to_string() };
                Some(admin.serve(socket, linger).map_err(failed)?)
            }
            None => None,
        };
        if let Some(watch) = watch {
            tokio::spawn(watch.run(self.clone(), stop.clone()));
        }
        let (metrics, metrics_site) = match metrics {
            Some(listener) => {
                let site = MetricsSite { host: self.clone(), stop: over.clone() };
                let address = listener.local_addr().ok();
                let failed = |source| HostError::Listen { address: "for metrics".into(), source };
                (address, Some(site.serve(listener, linger).map_err(failed)?))
            }
            None => (None, None),
        };
        let (host, admin) = (self.clone(), path);
        crash::serving();
        Ok(Running { host, address, admin, metrics, first, stop, over, site, admin_site, metrics_site })
    }

    fn serve_app(
        &self,
        listener: TcpListener,
        linger: Duration,
        stop: CancellationToken,
    ) -> impl Future<Output = bool> + Send + use<> {
        let mut site = Site::new(self.engine().clone(), self.topics().clone(), stop.clone());
        site.body_limit = self.app().limits.body.unwrap_or(BODY_LIMIT);
        site.dev = self.0.options.dev;
        let site = Arc::new(site);
        serve(listener, stop, linger, move |request| site.clone().respond(request))
    }

    fn bind_metrics(&self) -> Result<Option<std::net::TcpListener>, HostError> {
        let app = self.app();
        let Some(address) = self.0.options.metrics.as_ref().or(app.admin.metrics.as_ref()) else {
            return Ok(None);
        };
        let bound = metrics::bind(address);
        bound.map(Some).map_err(|source| HostError::Listen { address: address.clone(), source })
    }

    fn bind_admin(&self) -> Result<Option<(PathBuf, AdminSocket)>, HostError> {
        let options = &self.0.options;
        if options.no_admin {
            return Ok(None);
        }
        let path = options.admin.clone().unwrap_or_else(|| admin_path(self.root()));
        match AdminSocket::bind(&path, options.admin.is_none()) {
            Ok(socket) => Ok(Some((path, socket))),
            Err(error) => Err(HostError::Admin { path, reason: error.to_string() }),
        }
    }
}

async fn listen(address: &str) -> Result<TcpListener, HostError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| HostError::Listen { address: address.to_owned(), source })
}

impl Running {
    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Where HTTP is served.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where the admin socket is.
    pub fn admin(&self) -> Option<&Path> {
        self.admin.as_deref()
    }

    /// Where metrics are served beside the admin socket.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// How the first load ended; it can only have failed in `dev`.
    pub fn first(&self) -> &Result<Summary, Failure> {
        &self.first
    }

    /// Stops accepting, lets open connections finish, and shuts the engine down: calls end, modules are finalized,
    /// dependents first. Returns whether everything ended by itself and in time. Is done by a thread of its own: code
    /// that cannot be interrupted may keep all others.
    pub async fn stop(self) -> bool {
        let (host, stop) = (self.host.clone(), self.stop.clone());
        stop.cancel();
        match apart("end", self.end()) {
            Ok(ended) => ended.await.unwrap_or(false),
            Err(error) => {
                tracing::error!("at the shutdown: there is no thread for it: {error}");
                host.shutdown(ShutdownOptions::default()).await.is_clean()
            }
        }
    }

    async fn end(self) -> bool {
        let (app, host) = (self.host.app(), self.host.clone());
        let linger = app.limits.shutdown.unwrap_or(LINGER);
        let rescue = ending::Rescue::of(&host).await;
        let mut clean = true;
        let mut options = ShutdownOptions { drain: app.limits.shutdown, ..ShutdownOptions::default() };
        if let Some(serving) = self.site {
            clean &=
                tokio::time::timeout(linger + LATER, serving).await.is_ok_and(|ended| ended.unwrap_or(false));
            if !clean {
                // Calls were waited for as long as connections.
                options.drain = Some(Duration::ZERO);
            }
        }
        clean &= ending::told(&host, host.shutdown(options)).await.is_clean();
        self.over.cancel();
        for serving in [self.admin_site, self.metrics_site].into_iter().flatten() {
            clean &=
                tokio::time::timeout(linger + LATER, serving).await.is_ok_and(|ended| ended.unwrap_or(false));
        }
        if rescue.is_some() {
            // Dropping what an interpreter that is kept has made would wait for it.
            std::mem::forget(host);
        }
        drop(rescue);
        clean
    }
}
