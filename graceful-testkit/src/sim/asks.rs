//! What a story asks of the engine, and what becomes of it.

use futures_util::future::{Either, select};
use graceful_core::instance::ApplyOptions;
use graceful_core::{CallError, Config, DrainPolicy, OnBusy, ReloadError, ReloadOptions, RoleError, Value};
use tokio::sync::oneshot;

use super::play::{Applied, Asked, PATIENCE, Play};
use super::story::*;
use super::violation::{Told, Violation, broken, hold};
use crate::clock::Pending;

impl Play<'_> {
    pub(super) fn unregister(&mut self, at: usize) {
        let engine = self.app.engine().clone();
        self.left.insert(at);
        let pending = self.app.time().spawn(async move { Some(engine.unregister(&name(at), false).await) });
        self.reloads.push((None, pending));
    }

    pub(super) fn call(&mut self, module: usize, function: Function) {
        let live = self.app.engine().world().gate.live().0;
        self.next += 1;
        let id = self.next;
        let word = match function {
            // Some languages keep the other word to themselves.
            Function::Spawn => "begin".to_owned(),
            function => format!("{function:?}").to_lowercase(),
        };
        let handle = self.app.engine().handle(name(module).as_str(), word.as_str());
        let args = match function {
            Function::Hit => vec![Value::Map([("id".to_owned(), id.into())].into()), Value::Null],
            _ => Vec::new(),
        };
        let call = self.app.time().spawn(async move { handle.call(args).await });
        self.calls.push((Asked { id, module, function, live }, call));
    }

    pub(super) fn options(&mut self, how: How) -> ReloadOptions {
        self.clean |= how.roles && !how.check;
        let moment = self.desk().moment();
        let changed = how.told.then(|| {
            let changed = self.desk().changed(self.told);
            changed.into_iter().map(|name| name.as_str().into()).collect()
        });
        if !how.check {
            self.told = moment;
        }
        ReloadOptions {
            force: how.force,
            drain: if how.cancel { DrainPolicy::Cancel } else { DrainPolicy::Abort },
            forgive_before_reload: how.forgive,
            check: how.check,
            roles: how.roles,
            on_busy: [OnBusy::Wait, OnBusy::Join, OnBusy::Refuse][usize::from(how.busy) % 3],
            changed,
            ..ReloadOptions::default()
        }
    }

    pub(super) fn reload(&mut self, how: How) {
        let told = self.told;
        let options = self.options(How { told: false, ..how });
        // Nobody knows yet whether it looks at anything.
        self.told = told;
        let (dropper, dropped) = oneshot::channel::<()>();
        let reload = self.app.engine().reload(options);
        let pending = self.app.time().spawn(async move {
            match select(reload, dropped).await {
                Either::Left((result, _)) => Some(result),
                // The sender is gone without a word: nobody drops this reload.
                Either::Right((Err(_), reload)) => Some(reload.await),
                Either::Right((Ok(()), _)) => None,
            }
        });
        self.reloads.push((Some(dropper), pending));
    }

    pub(super) fn drop_a_reload(&mut self) {
        let running = self.reloads.iter_mut().filter(|(_, pending)| !pending.is_done());
        if let Some(dropper) = running.filter_map(|(dropper, _)| dropper.take()).next() {
            let _ = dropper.send(());
        }
    }

    pub(super) fn cfg(&mut self) {
        if self.story.roles.is_empty() {
            return;
        }
        self.ledger.set_partial(true);
        let roles = self.app.engine().roles();
        let names: Vec<String> = (0..self.story.roles.len()).map(role_name).collect();
        let pending = self.app.time().spawn(async move { Some(roles.cfg(names).await) });
        self.reloads.push((None, pending));
    }

    pub(super) fn apply(&mut self, number: u64, enabled: &[usize]) {
        if self.applying.as_ref().is_some_and(|(_, pending)| !pending.is_done())
            || self.settle_apply().is_err()
        {
            return;
        }
        let roles = self.app.engine().roles();
        if self.story.roles.is_empty() || roles.get_all_roles().is_empty() {
            return;
        }
        let options = ApplyOptions {
            enabled: Some(enabled.iter().map(|at| role_name(*at)).collect()),
            opts: Value::map(),
        };
        let document = Value::Map([("n".to_owned(), Value::from(number as i64))].into());
        let conf = Config::new(document).expect("a map is a document");
        let pending = self.app.time().spawn(async move { roles.configure(conf, options).await });
        self.applying = Some((Applied { number, roles: enabled.to_vec() }, pending));
    }

    /// What became of the configuration that was being applied.
    pub(super) fn settle_apply(&mut self) -> Told {
        let Some((applied, pending)) = self.applying.take() else { return Ok(()) };
        match self.over("applying a configuration", pending)? {
            Ok(_) | Err(RoleError::Partly { .. }) => self.applied = Some(applied),
            Err(_) => {}
        }
        Ok(())
    }

    /// The end of something that was begun.
    pub(super) fn over<T>(&self, what: &str, pending: Pending<T>) -> Result<T, Violation> {
        pending.within(PATIENCE).ok_or_else(|| broken("everything ends", format!("{what} does not end")))
    }

    /// Everything that was begun ends.
    pub(super) fn settle(&mut self) -> Told {
        for (dropper, pending) in std::mem::take(&mut self.reloads) {
            drop(dropper);
            if let Some(Err(error)) = self.over("a reload", pending)? {
                self.not_stuck(&error)?;
            }
        }
        self.settle_apply()?;
        for (asked, pending) in std::mem::take(&mut self.calls) {
            let answer = self.over(&format!("{asked:?}"), pending)?;
            self.read()?;
            self.answered(&asked, answer)?;
        }
        self.ledger.set_partial(false);
        self.read()?;
        self.ledger.told()
    }

    pub(super) fn not_stuck(&self, error: &ReloadError) -> Told {
        // A role that takes no configuration cannot be brought back either.
        let live = self.ledger.live();
        let desk = self.desk();
        let shapes = live.values().filter_map(|tag| desk.role_shapes.get(tag));
        let excused =
            shapes.into_iter().any(|shape| matches!(shape.wrong, RoleWrong::Apply | RoleWrong::Init));
        hold("a failed reload is undone", excused || !error.is_stuck(), || {
            format!("stuck: {error}: {:?}", error.left)
        })
    }

    pub(super) fn answered(&mut self, asked: &Asked, answer: Result<Value, CallError>) -> Told {
        let wrote = self.checker.wrote.get(&asked.id).copied().unwrap_or_default();
        match answer {
            Err(error) if error.is_retryable() || self.ending.is_some() => Ok(()),
            Err(CallError::NoModule { .. }) if self.may_be_gone(asked.module) => Ok(()),
            // Old code that starts a task after it was replaced is told so.
            Err(CallError::Script(_)) if asked.function == Function::Spawn => Ok(()),
            Err(error) => Err(broken("no call fails because of a reload", format!("{asked:?}: {error}"))),
            Ok(_) if asked.function == Function::Hit => {
                hold("no write is lost or made twice", wrote == 1, || {
                    format!("{asked:?} wrote {wrote} times")
                })
            }
            Ok(value) if asked.function == Function::Slow => self.ledger.one_generation(&value, asked.live),
            Ok(_) => Ok(()),
        }
    }

    pub(super) fn may_be_gone(&self, at: usize) -> bool {
        at >= PRESENT || self.left.contains(&at)
    }
}
