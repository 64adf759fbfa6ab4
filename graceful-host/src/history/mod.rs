//! The history of reloads, kept over restarts: each is written down before it begins and once it has ended.

mod file;
mod lines;
mod recorder;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use graceful_core::{Event, Observer};
use tokio::runtime::Handle;

use crate::app::App;
use crate::host::{Host, HostError};
use crate::options::Cause;
use crate::wire::{Failure, HistoryReply};
use file::Log;
use lines::{What, entries};
use recorder::Recorder;

const FILE: &str = "history.jsonl";

/// How many reloads are kept.
const KEPT: usize = 1_000;

/// In how many bytes, unless the last one alone has more.
const SIZE: usize = 4 << 20;

/// Where the history of `app` in `folder` is.
fn path(folder: &Path, app: &App) -> PathBuf {
    folder.join(&app.state_dir).join(FILE)
}

/// The history of the app in `folder`, whether it runs or not: its last reloads, `last` of them.
///
/// # Errors
/// The manifest cannot be used.
pub fn history(folder: &Path, last: usize) -> Result<HistoryReply, HostError> {
    Ok(read(&path(folder, &App::read(folder)?), last))
}

fn read(path: &Path, last: usize) -> HistoryReply {
    let found = match file::read(path) {
        Ok(found) => found,
        Err(error) => return HistoryReply::new(Vec::new(), vec![format!("{}: {error}", path.display())]),
    };
    let (mut all, mut warnings) = entries(found.lines);
    warnings.extend(found.warnings);
    let from = lines::cut(&all, last);
    HistoryReply::new(all.split_off(from), warnings)
}

/// Writes the history: a reader of the engine's events.
pub(crate) struct History {
    path: PathBuf,
    open: Mutex<Option<Open>>,
}

struct Open {
    log: Log,
    recorder: Recorder,
    /// Where the file is brought to the disk, without anybody waiting for it.
    runtime: Handle,
}

impl History {
    pub(crate) fn new(folder: &Path, app: &App) -> Self {
        Self { path: path(folder, app), open: Mutex::default() }
    }

    /// Opens the file, says what the run before left unfinished, and begins a run. A history that cannot be written keeps
    /// no app from running.
    pub(crate) fn begin(&self) {
        let opened = Log::open(&self.path).and_then(|(mut log, found)| {
            found.warnings.iter().for_each(|warning| tracing::warn!("the history: {warning}"));
            let now = lines::Now::of(&found.lines);
            for reload in now.unfinished {
                tracing::warn!("reload {reload} was interrupted: the host ended in the middle of it");
                log.write(millis(), What::Interrupted { reload })?;
            }
            let (run, pid) = (now.run + 1, std::process::id());
            log.write(millis(), What::Started { run, pid, after_crash: now.crashed })?;
            log.sync()?;
            Ok(Open { log, recorder: Recorder::new(run, now.reload), runtime: Handle::current() })
        });
        match opened {
            Ok(open) => *self.lock() = Some(open),
            Err(error) => tracing::error!("there is no history: {}: {error}", self.path.display()),
        }
    }

    /// `cause` asks for the reloads that follow.
    pub(crate) fn asked_by(&self, cause: Cause) {
        if let Some(open) = &mut *self.lock() {
            open.recorder.cause = cause;
        }
    }

    /// A reload that the engine was not asked for.
    pub(crate) fn refused(&self, cause: Cause, failure: &Failure) {
        let mut open = self.lock();
        let Some(Open { log, recorder, .. }) = &mut *open else { return };
        let mut lines = recorder.refused(cause, failure, millis()).into_iter();
        let written = lines.try_for_each(|what| log.write(millis(), what));
        drop(open);
        self.told(written);
    }

    /// The run ends.
    pub(crate) fn end(&self, clean: bool) {
        if let Some(mut open) = self.lock().take() {
            let run = open.recorder.run;
            let written =
                open.log.write(millis(), What::Stopped { run, clean }).and_then(|()| open.log.sync());
            self.told(written);
        }
    }

    fn told(&self, written: std::io::Result<()>) {
        if let Err(error) = written {
            tracing::error!("the history cannot be written: {}: {error}", self.path.display());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for History {
    fn on_event(&self, event: &Event) {
        let mut open = self.lock();
        let Some(Open { log, recorder, runtime }) = &mut *open else { return };
        let Some(what) = recorder.note(event, millis()) else { return };
        let ended = matches!(what, What::Ended { .. });
        let written = match what {
            What::Begun { .. } if !log.is_in_place() => again(&self.path, log, recorder.run),
            _ => Ok(()),
        };
        let written = written.and_then(|()| log.write(millis(), what));
        if ended && let Ok(file) = log.file() {
            runtime.spawn_blocking(move || {
                if let Err(error) = file.sync_data() {
                    tracing::error!("the history cannot be brought to the disk: {error}");
                }
            });
        }
        drop(open);
        self.told(written);
    }
}

/// The file was removed: another one begins, in the middle of a run.
fn again(path: &Path, log: &mut Log, run: u64) -> std::io::Result<()> {
    tracing::warn!("the history {} was removed, and begins anew", path.display());
    *log = Log::open(path)?.0;
    log.write(millis(), What::Started { run, pid: std::process::id(), after_crash: false })
}

impl Host {
    /// The last reloads, `last` of them, with the starts and ends of the host between them.
    pub fn history(&self, last: usize) -> HistoryReply {
        read(&self.0.history.path, last)
    }
}

fn millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
