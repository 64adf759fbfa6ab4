//! The reloads and plans that anybody asks for: the manifest first, then the sources, one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use graceful_core::ReloadOptions;
use graceful_core::status::EngineState;

use crate::app::{App, MANIFEST};
use crate::host::Host;
use crate::options::Cause;
use crate::wire::{Failure, PlanReply, Summary};
use crate::{roles, settings, watchman};

impl Host {
    /// Makes what is in the folder live: manifest first, then the sources. Goes on to its end even if the
    /// returned future is dropped.
    ///
    /// # Errors
    /// [`Failure`]; the old code serves, with the old manifest. If code that nothing can interrupt keeps an interpreter,
    /// the reload is given up (GR0120).
    pub async fn reload(&self, cause: Cause, options: ReloadOptions) -> Result<Summary, Failure> {
        let (host, check) = (self.clone(), options.check);
        let began = Arc::new(AtomicBool::new(false));
        let mine = began.clone();
        let mut kept = self.0.kept.subscribe();
        let known = kept.borrow().clone();
        if let Some(why) = known {
            // It would only wait: better not to begin.
            return Err(self.give_up(why, false, cause, check));
        }
        let mut reload = self.0.runtime.spawn(async move {
            let _turn = host.0.turn.lock().await;
            mine.store(true, Ordering::Release);
            host.0.history.asked_by(cause);
            let result = host.reload_in_turn(cause, options).await;
            // Who asks the engine for one by itself has it from the host's program.
            host.0.history.asked_by(Cause::Embedder);
            if !check {
                host.told(cause, &result);
            }
            result
        });
        let ended = tokio::select! {
            biased;
            ended = &mut reload => ended,
            why = watchman::is_kept(&mut kept) => {
                reload.abort();
                return Err(self.give_up(why, began.load(Ordering::Acquire), cause, check));
            }
        };
        ended.unwrap_or_else(|error| {
            let message = format!("the reload did not end: {error}");
            Err(Failure::refused("GR0402", message, self.engine().status().generation))
        })
    }

    fn give_up(&self, why: String, began: bool, cause: Cause, check: bool) -> Failure {
        let failure = self.given_up(why, began);
        if began {
            settings::restore(self.engine(), &self.app());
        } else {
            self.0.history.refused(cause, &failure);
        }
        if !check {
            // Whoever watches the folder does not tell again what changed.
            self.0.behind.store(true, Ordering::Release);
            self.told(cause, &Err(failure.clone()));
        }
        failure
    }

    fn told(&self, cause: Cause, result: &Result<Summary, Failure>) {
        if let Some(told) = &self.0.options.on_reload {
            told(cause, result);
        }
    }

    /// Nobody can say when a reload ends that waits for `why`.
    pub(crate) fn given_up(&self, why: String, began: bool) -> Failure {
        let runs = began && self.engine().status().state == EngineState::Reloading;
        let mut failure = Failure::refused("GR0120", why, self.engine().world().gate.live().0);
        failure.retryable = true;
        if runs {
            failure.outcome = "stuck".to_owned();
            failure.left =
                vec!["the reload goes back, or ends if it has committed, once that code ends".to_owned()];
        }
        failure
    }

    async fn reload_in_turn(&self, cause: Cause, mut options: ReloadOptions) -> Result<Summary, Failure> {
        let live = self.engine().status().generation;
        let old = self.app();
        let new = App::read(self.root()).map_err(|error| {
            let failure = Failure::manifest(&error, live);
            self.0.history.refused(cause, &failure);
            failure
        })?;
        let warnings = settings::needs_restart(&old, &new);
        if self.0.behind.load(Ordering::Acquire) || *old != new {
            // What changed while reloads failed, or what the manifest now asks for, is not among the names.
            options.changed = None;
        }
        options.drain = new.reload.drain;
        settings::apply(self.engine(), &old, &new);
        let modules = |app: &App| Some(roles::modules(app.roles.as_ref()?, &self.0.options));
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::options::HostOptions;

    fn manifest(dir: &Path, entries: &str) {
        fs::write(dir.join("graceful.toml"), format!("name = 'kept'\nentry = [{entries}]\n")).unwrap();
    }

    /// An app of `modules`, not loaded yet, and its folder.
    fn app(entries: &str, modules: &[(&str, &str)]) -> (TempDir, Host) {
        let dir = tempfile::tempdir().unwrap();
        manifest(dir.path(), entries);
        for (name, text) in modules {
            fs::write(dir.path().join(format!("{name}.lua")), text).unwrap();
        }
        let host = Host::open(dir.path(), HostOptions::default()).unwrap();
        (dir, host)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ord_01_what_changed_while_code_kept_the_interpreter_is_looked_at_by_the_next_reload() {
        let (dir, host) = app("'one', 'two'", &[("one", "return {}"), ("two", "return {}")]);
        host.0.history.begin();
        host.reload(Cause::Start, ReloadOptions::default()).await.unwrap();
        let edited = |name: &str| {
            fs::write(dir.path().join(format!("{name}.lua")), "return { 2 }").unwrap();
            ReloadOptions { changed: Some([name.into()].into()), ..ReloadOptions::default() }
        };
        host.0.kept.send_replace(Some("a call".to_owned()));
        let refused = host.reload(Cause::Watch, edited("one")).await.unwrap_err();
        assert_eq!(refused.code, "GR0120");
        host.0.kept.send_replace(None);
        let summary = host.reload(Cause::Admin, edited("two")).await.unwrap();
        let live: Vec<&str> = summary.modules.iter().map(|change| &*change.module).collect();
        assert_eq!(live, ["one", "two"]);
        let history = host.history(usize::MAX);
        let told: Vec<_> =
            history.reloads().map(|reload| (&*reload.asked_by, reload.code.as_deref())).collect();
        assert_eq!(told, [("start", None), ("watch", Some("GR0120")), ("admin", None)]);
        assert_eq!(history.warnings, [""; 0]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ord_01_a_manifest_whose_reload_was_given_up_asks_for_nothing_any_more() {
        let (dir, host) = app("'one'", &[("one", "return {}"), ("waits", "require('fiber').sleep(2)")]);
        host.reload(Cause::Start, ReloadOptions::default()).await.unwrap();
        manifest(dir.path(), "'one', 'waits'");
        let asking = host.clone();
        let asked = tokio::spawn(async move { asking.reload(Cause::Admin, ReloadOptions::default()).await });
        while host.engine().status().state != EngineState::Reloading {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        host.0.kept.send_replace(Some("a top level".to_owned()));
        assert_eq!(asked.await.unwrap().unwrap_err().code, "GR0120");
        host.0.kept.send_replace(None);
        manifest(dir.path(), "'one'");
        let summary = host.reload(Cause::Admin, ReloadOptions::default()).await.unwrap();
        assert_eq!((summary.outcome.as_str(), host.engine().status().modules.len()), ("unchanged", 1));
    }
}
