//! Watches the app's folder: a change of content, once it is quiet, is a reload.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use graceful_core::{Name, ReloadOptions};
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

mod folder;

use crate::host::{Host, HostError};
use crate::options::Cause;
use crate::sources::DirSources;
use folder::Folder;

/// How long the folder must be quiet where the manifest does not say.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// A file that is written all the time is not waited for longer than this many times the quiet.
const PATIENCE: u32 = 40;

/// Watches one folder.
pub(crate) struct Watch {
    folder: Folder,
    sources: DirSources,
    quiet: Duration,
    stirred: Arc<Notify>,
    _events: Debouncer<RecommendedWatcher, RecommendedCache>,
}

impl Watch {
    /// Begins to watch; what changes from now on is found by [`Watch::run`].
    pub(crate) fn new(sources: DirSources, debounce: Option<Duration>) -> Result<Self, HostError> {
        let root = sources.root().to_path_buf();
        let failed =
            |error: notify::Error| HostError::Watch { path: root.clone(), reason: error.to_string() };
        let quiet = debounce.unwrap_or(DEBOUNCE).max(Duration::from_millis(1));
        let stirred: Arc<Notify> = Arc::default();
        let stir = stirred.clone();
        let mut events = new_debouncer(quiet, None, move |result: DebounceEventResult| {
            if is_worth_a_look(&result) {
                stir.notify_one();
            }
        })
        .map_err(failed)?;
        events.watch(&root, RecursiveMode::Recursive).map_err(failed)?;
        Ok(Self { folder: Folder::new(sources.clone()), sources, quiet, stirred, _events: events })
    }

    /// Reloads `host` at every change until `stop`.
    pub(crate) async fn run(mut self, host: Host, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.stirred.notified() => {}
            }
            let Some((watch, different)) = self.settled().await else { return };
            self = watch;
            if different.is_empty() {
                continue;
            }
            let changed = self.names(&host, &different);
            let _ = host.reload(Cause::Watch, ReloadOptions { changed, ..ReloadOptions::default() }).await;
        }
    }

    /// What is different, once a whole quiet interval has passed in which nothing more became different.
    async fn settled(mut self) -> Option<(Self, BTreeSet<PathBuf>)> {
        let mut different = BTreeSet::new();
        for _ in 0..PATIENCE {
            let look = tokio::task::spawn_blocking(move || {
                let found = self.folder.look();
                (self, found)
            });
            let found;
            (self, found) = look.await.ok()?;
            if found.is_empty() {
                break;
            }
            different.extend(found);
            tokio::time::sleep(self.quiet).await;
        }
        Some((self, different))
    }

    /// The modules in the changed files, or `None` for a look at everything: a file that came or went, and the
    /// manifest, may change more than one module.
    fn names(&self, host: &Host, different: &BTreeSet<PathBuf>) -> Option<BTreeSet<Name>> {
        different.iter().map(|path| self.live_name(host, path)).collect()
    }

    fn live_name(&self, host: &Host, path: &Path) -> Option<Name> {
        let name = self.sources.name_of(path)?;
        let live = host.engine().world().live(&name)?;
        let same = live.source.origin == path.to_str()? && self.sources.root().join(path).is_file();
        same.then_some(name)
    }
}

/// Reading a file stirs the folder too; only what may have changed it counts. After an error, or where events
/// were lost, everything is looked at.
fn is_worth_a_look(result: &DebounceEventResult) -> bool {
    match result {
        Ok(events) => events.iter().any(|event| match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            EventKind::Access(_) => event.need_rescan(),
            _ => true,
        }),
        Err(errors) => {
            errors.iter().for_each(|error| tracing::warn!("watching the folder: {error}"));
            true
        }
    }
}
