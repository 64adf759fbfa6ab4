//! One app, opened: its engine, its manifest, and the reloads that anybody asks for.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use graceful_core::{Engine, Event, EventKind, Observer, ReloadOptions, ShutdownOptions, ShutdownReport};
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::app::{App, MANIFEST, ManifestError};
use crate::metrics::Metrics;
use crate::options::{Cause, HostOptions};
use crate::roles::{self, keeper::Keeper};
use crate::sources::DirSources;
use crate::topics::Topics;
use crate::wire::{Failure, PlanReply, StatusReply, Summary};
use crate::{assemble, settings};

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
    app: Mutex<Arc<App>>,
    /// A manifest is applied by one reload at a time.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Where reloads run, whoever asks for them.
    pub(crate) runtime: Handle,
    /// Keeps what was applied.
    pub(crate) keeper: Arc<Keeper>,
    /// The last reload failed, so what is on disk is not what is live.
    pub(crate) behind: AtomicBool,
    /// The engine shuts down, whoever asked for it.
    pub(crate) ending: CancellationToken,
}

struct Broadcast(broadcast::Sender<Arc<Event>>, CancellationToken);

impl Observer for Broadcast {
    fn on_event(&self, event: &Event) {
        tracing::debug!(target: "graceful::reload", reload = event.reload, "{:?}", event.kind);
        match &event.kind {
            EventKind::ShutdownStarted => self.1.cancel(),
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
        let (engine, sources) = assemble::engine(&root, &app, &options, &topics)?;
        let events = broadcast::channel(EVENT_BACKLOG).0;
        let ending = CancellationToken::new();
        let metrics: Arc<Metrics> = Arc::default();
        engine.subscribe(metrics.clone());
        engine.subscribe(Arc::new(Broadcast(events.clone(), ending.clone())));
        let keeper = Arc::new(Keeper::new(roles::kept(&root, &app)));
        engine.subscribe(keeper.clone());
        options.observers.iter().for_each(|observer| engine.subscribe(observer.clone()));
        let host = Self(Arc::new(Inner {
            keeper,
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

    /// Makes what is in the folder live: manifest first, then the sources. Goes on to its end even if the
    /// returned future is dropped.
    ///
    /// # Errors
    /// [`Failure`]; the old code serves, with the old manifest.
    pub async fn reload(&self, cause: Cause, options: ReloadOptions) -> Result<Summary, Failure> {
        let host = self.clone();
        let reload = self.0.runtime.spawn(async move {
            let _turn = host.0.turn.lock().await;
            let check = options.check;
            let result = host.reload_in_turn(options).await;
            if check {
                return result;
            }
            if let Some(told) = &host.0.options.on_reload {
                told(cause, &result);
            }
            result
        });
        reload.await.unwrap_or_else(|error| {
            let message = format!("the reload did not end: {error}");
            Err(Failure::refused("GR0402", message, self.engine().status().generation))
        })
    }

    async fn reload_in_turn(&self, mut options: ReloadOptions) -> Result<Summary, Failure> {
        let live = self.engine().status().generation;
        let old = self.app();
        let new = App::read(self.root()).map_err(|error| Failure::manifest(&error, live))?;
        let warnings = settings::needs_restart(&old, &new);
        if self.0.behind.load(Ordering::Acquire) || *old != new {
            // What changed while reloads failed, or what the manifest now asks for, is not among the names.
            options.changed = None;
        }
        options.drain = new.reload.drain;
        settings::apply(self.engine(), &old, &new);
        let modules = |app: &App| app.roles.as_ref().map(|roles| roles.modules.clone());
        if modules(&old).is_some() && modules(&old) != modules(&new) && self.active().is_some() {
            options.register = modules(&new);
        }
        if options.check {
            let result = self.engine().reload(options).await;
            settings::apply(self.engine(), &new, &old);
            let told = result.map(|report| Summary {
                warnings: [report.warnings.clone(), warnings].concat(),
                ..Summary::from(&report)
            });
            return told.map_err(|error| self.with_source(Failure::from(&error)));
        }
        let result = self.engine().reload(options).await;
        self.0.behind.store(result.is_err(), Ordering::Release);
        match result {
            Ok(report) => {
                *self.0.app.lock().unwrap() = Arc::new(new);
                let mut summary = Summary::from(&report);
                summary.warnings.extend(warnings);
                self.roles_begun(&mut summary).await?;
                Ok(summary)
            }
            Err(error) => {
                settings::apply(self.engine(), &new, &old);
                Err(self.with_source(Failure::from(&error)))
            }
        }
    }

    /// What a reload would do now.
    pub async fn plan(&self, force: bool) -> PlanReply {
        let _turn = self.0.turn.lock().await;
        let live = self.engine().status().generation;
        let old = self.app();
        let new = match App::read(self.root()) {
            Ok(new) => new,
            Err(error) => return PlanReply::new(Err(Failure::manifest(&error, live))),
        };
        settings::apply(self.engine(), &old, &new);
        let plan = self.engine().plan(ReloadOptions { force, ..ReloadOptions::default() }).await;
        settings::apply(self.engine(), &new, &old);
        PlanReply::new(plan.map_err(|error| self.with_source(Failure::from(&error))))
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
        for left in &report.failed {
            tracing::error!("at the shutdown: {left}");
        }
        if report.cancelled > 0 {
            tracing::error!("at the shutdown: {} calls and tasks were cancelled", report.cancelled);
        }
        report
    }

    /// Errors of hooks know their place and not its text.
    pub(crate) fn with_source(&self, mut failure: Failure) -> Failure {
        if let (None, Some(place)) = (&failure.source_line, &failure.place)
            && let Some(line) = place.line
            && place.file != MANIFEST
            && let Ok(text) = std::fs::read_to_string(self.root().join(&place.file))
        {
            failure.source_line = text.lines().nth(line.saturating_sub(1) as usize).map(str::to_owned);
        }
        failure
    }
}
