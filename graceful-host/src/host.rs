//! One app, opened: its engine, its manifest, and the reloads that anybody asks for.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use graceful_core::{Engine, Event, EventKind, Observer, ShutdownOptions, ShutdownReport};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::app::{App, ManifestError};
use crate::assemble;
use crate::clock::TokioClock;
use crate::history::History;
use crate::metrics::Metrics;
use crate::options::HostOptions;
use crate::roles::{self, keeper::Keeper};
use crate::sources::DirSources;
use crate::topics::Topics;
use crate::wire::{Failure, StatusReply};

/// How many engine events a reader of the admin socket may lag behind.
const EVENT_BACKLOG: usize = 4096;

/// Why a host cannot be opened or started.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A setting names something that is not there.
    #[error("{0}")]
    Setting(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The admin socket cannot be made.
    #[error("cannot make the admin socket {}: {reason}", .path.display())]
    Admin {
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The folder cannot be watched.
    #[error("cannot watch {}: {reason}", .path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The app does not start.
    #[error("the app does not start: {}", .0.message)]
    Start(Box<Failure>),
}

impl HostError {
    /// The same as data, where it has a place or a code.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            HostError::Manifest(error) => Some(Failure::manifest(error, 0)),
            HostError::Start(failure) => Some((**failure).clone()),
            _ => None,
        }
    }
}

/// An app that was opened. Cheap to clone; [`start`](Host::start) or [`run`](Host::run) serves it.
#[derive(Clone)]
pub struct Host(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) root: PathBuf,
    pub(crate) options: HostOptions,
    pub(crate) engine: Engine,
    pub(crate) sources: DirSources,
    pub(crate) topics: Arc<Topics>,
    pub(crate) events: broadcast::Sender<Arc<Event>>,
    metrics: Arc<Metrics>,
    /// The manifest that the live generation was loaded by.
    pub(crate) app: Mutex<Arc<App>>,
    /// A manifest is applied by one reload at a time.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Where reloads run, whoever asks for them.
    pub(crate) runtime: Handle,
    /// Keeps what was applied.
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) history: Arc<History>,
    /// The last reload failed, so what is on disk is not what is live.
    pub(crate) behind: AtomicBool,
    /// The engine shuts down, whoever asked for it.
    pub(crate) ending: CancellationToken,
    pub(crate) clock: Arc<TokioClock>,
    /// What code keeps an interpreter although it was cancelled, in words.
    pub(crate) kept: watch::Sender<Option<String>>,
}

struct Broadcast(broadcast::Sender<Arc<Event>>, CancellationToken);

impl Observer for Broadcast {
    fn on_event(&self, event: &Event) {
        tracing::debug!(target: "graceful::reload", reload = event.reload, "{:?}", event.kind);
        match &event.kind {
            EventKind::ShutdownStarted => self.1.cancel(),
            EventKind::ReloadEnded { outcome, generation, by: Some(by), took, message, .. }
                if outcome != "unchanged" =>
            {
                let (asked, took) = (format!("a reload that {by} asked for"), took.as_secs_f64() * 1e3);
                match message {
                    None => tracing::info!("{asked} {outcome}, generation {generation} ({took:.1} ms)"),
                    Some(why) => {
                        tracing::warn!("{asked} was {outcome}, generation {generation} serves: {why}")
                    }
                }
            }
            EventKind::Leaked { module, born, by } => {
                let by = by.join(", ");
                tracing::warn!("generation {born} of `{module}` outlives its reload, held by {by}");
            }
            _ => {}
        }
        let _ = self.0.send(Arc::new(event.clone()));
    }
}

impl Host {
    /// Opens the app in `folder`: reads its manifest and builds its engine. Loads and serves nothing yet.
    /// Called inside a tokio runtime.
    ///
    /// # Errors
    /// The manifest cannot be used.
    pub fn open(folder: impl AsRef<Path>, options: HostOptions) -> Result<Self, HostError> {
        let root = folder.as_ref().to_path_buf();
        let app = App::read(&root)?;
        let topics: Arc<Topics> = Arc::default();
        let clock = Arc::new(TokioClock::new());
        let (engine, sources) = assemble::engine(&root, &app, &options, &topics, &clock)?;
        let events = broadcast::channel(EVENT_BACKLOG).0;
        let ending = CancellationToken::new();
        let metrics: Arc<Metrics> = Arc::default();
        // First, so that nobody is told of what is not written down.
        let history = Arc::new(History::new(&root, &app));
        engine.subscribe(history.clone());
        #[cfg(feature = "crash")]
        engine.subscribe(Arc::new(crate::crash::Steps));
        engine.subscribe(metrics.clone());
        engine.subscribe(Arc::new(Broadcast(events.clone(), ending.clone())));
        let keeper = Arc::new(Keeper::new(roles::kept(&root, &app)));
        engine.subscribe(keeper.clone());
        options.observers.iter().for_each(|observer| engine.subscribe(observer.clone()));
        let host = Self(Arc::new(Inner {
            keeper,
            history,
            root,
            options,
            engine,
            sources,
            topics,
            events,
            metrics,
            app: Mutex::new(Arc::new(app)),
            turn: tokio::sync::Mutex::default(),
            runtime: Handle::current(),
            behind: AtomicBool::new(true),
            ending,
            clock,
            kept: watch::channel(None).0,
        }));
        host.0.keeper.serve(Arc::downgrade(&host.0));
        Ok(host)
    }

    /// The engine: what embedders call modules through.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// What scripts publish to.
    pub fn topics(&self) -> &Arc<Topics> {
        &self.0.topics
    }

    /// The app's folder.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The manifest that the live generation was loaded by.
    pub fn app(&self) -> Arc<App> {
        self.0.app.lock().unwrap().clone()
    }

    /// What was counted and what is, as metrics in Prometheus' text format; see
    /// [`CATALOGUE`](crate::CATALOGUE).
    pub fn metrics(&self) -> String {
        self.0.metrics.text(&self.engine().status())
    }

    /// What the host shows of itself.
    pub fn status(&self, listen: Option<String>) -> StatusReply {
        let root = std::path::absolute(self.root()).unwrap_or_else(|_| self.root().to_path_buf());
        StatusReply::new(&self.app().name, &root.display().to_string(), listen, &self.engine().status())
    }

    /// Shuts the engine down and says in the log what was left; see [`Engine::shutdown`]. Connections stay open:
    /// [`Running::stop`] ends them first.
    ///
    /// [`Running::stop`]: crate::Running::stop
    pub async fn shutdown(&self, options: ShutdownOptions) -> ShutdownReport {
        let report = self.engine().shutdown(options).await;
        self.0.history.end(report.is_clean());
        for left in &report.failed {
            tracing::error!("at the shutdown: {left}");
        }
        if report.cancelled > 0 {
            tracing::error!("at the shutdown: {} calls and tasks were cancelled", report.cancelled);
        }
        report
    }
}
