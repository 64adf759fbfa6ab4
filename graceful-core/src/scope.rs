//! What a generation owns: what it started (resources) and what it offers by key (registrations).

mod care;
mod run;
mod table;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::error::CallError;
use crate::gate::Generation;
use crate::intent::Intents;
use crate::lease::Lease;
use crate::lifecycle::HookError;
use crate::source::Name;
use crate::value::Value;
use care::Heir;
use run::Run;
pub use table::{Identity, RegisterError, Registered, Registrations, Table};

/// Something a generation started and must release: a task, a timer, anything given to `own`.
#[async_trait]
pub trait Resource: Send + Sync {
    /// What kind of thing it is, in one word: `task`, `timer`, `own`.
    fn kind(&self) -> &'static str;

    /// Names it among its kind within one module: the name a person gave it, or a number.
    fn key(&self) -> String;

    /// Its number within the process, by which [`Module::kept`](crate::Module::kept) names it.
    fn id(&self) -> u64;

    /// Starts it: at commit if it was made during a reload, else at once. Must be quick and cannot fail.
    fn activate(&self);

    /// Whether it has ended by itself.
    fn is_done(&self) -> bool {
        false
    }

    /// Tells it that it now belongs to this scope: it was taken over by the next generation.
    fn moved(&self, _to: &Arc<Scope>) {}

    /// Ends it and returns once it has ended. Called at most once, after the commit.
    async fn release(&self) -> Result<(), HookError>;

    /// The engine was dropped without a shutdown, or the reload failed in which it was made: it is to end soon, and nobody waits for
    /// that. Called at most once, then never `release`.
    fn abandon(&self) {}

    /// The reload that it was made in failed, before it was [started](Resource::activate): what is to be done so that
    /// nothing of it is left. Called at most once, then never `release`. Nothing unless there is something.
    fn discard(&self) -> Option<BoxFuture<'static, Result<(), HookError>>> {
        None
    }
}

/// Old code starts nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("module `{module}` was replaced or has left: its old code cannot start anything")]
pub struct Replaced {
    /// The module.
    pub module: Name,
}

/// A resource that was made in a reload, and the scope that was to own it.
pub(crate) struct Staged {
    pub(crate) owner: Name,
    pub(crate) born: Generation,
    pub(crate) resource: Arc<dyn Resource>,
}

/// Something called by key rather than by module and name: a route, a subscription.
#[async_trait]
pub trait Callable: Send + Sync {
    /// Calls it. Runs inside a lease of the module that registered it.
    async fn call(&self, args: Vec<Value>) -> Result<Value, CallError>;
}

#[derive(Default)]
struct Owned {
    resources: Vec<Arc<dyn Resource>>,
    registrations: Registrations,
    closed: bool,
    heir: Arc<Heir>,
    /// A role of this module runs.
    run: Option<Run>,
}

impl Owned {
    fn take_in(&mut self, resource: Arc<dyn Resource>) {
        self.run.iter_mut().for_each(|run| {
            run.resources.insert(resource.id());
        });
        self.resources.push(resource);
    }

    fn offer(&mut self, at: (String, String), entry: Registered) -> Option<Registered> {
        self.run.iter_mut().for_each(|run| {
            run.keys.insert(at.clone());
        });
        self.registrations.insert(at, entry)
    }
}

/// What one generation of one module owns. Staged with it, active at commit, handed over or released after.
pub struct Scope {
    owner: Name,
    born: Generation,
    intents: Arc<Intents>,
    table: Arc<Table>,
    me: Weak<Scope>,
    owned: Mutex<Owned>,
    replaced: AtomicBool,
}

impl Scope {
    pub(crate) fn new(owner: Name, born: Generation, intents: Arc<Intents>, table: Arc<Table>) -> Arc<Self> {
        let (owned, replaced) = Default::default();
        Arc::new_cyclic(|me| Self { owner, born, intents, table, me: me.clone(), owned, replaced })
    }

    /// The module it belongs to.
    pub fn owner(&self) -> &Name {
        &self.owner
    }

    /// The generation it was born in.
    pub fn born(&self) -> Generation {
        self.born
    }

    /// Where its effects wait for the commit that makes it live; they run at once after that.
    pub fn intents(&self) -> &Arc<Intents> {
        &self.intents
    }

    /// Puts `resource` under this scope's care and starts it: at commit if a reload is under way here (its
    /// own staging, or a hook that runs on this thread), else at once. Where this generation was replaced, what runs
    /// in its successor's time, a task or a function that is kept in a state, starts it for that one.
    ///
    /// # Errors
    /// [`Replaced`] if this generation was retired: a call that began before that may finish, and start nothing.
    pub fn add(&self, resource: Arc<dyn Resource>) -> Result<(), Replaced> {
        let foreign = self.foreign();
        let (owner, born, made) = (self.owner.clone(), self.born, resource.clone());
        let staged = Staged { owner, born, resource: made };
        let Some(intents) = foreign else {
            if let Err(heir) = self.admit(&resource) {
                let heir = heir.ok_or_else(|| Replaced { module: self.owner.clone() })?;
                resource.moved(&heir);
                return heir.add(resource);
            }
            self.intents.note(Box::new(staged));
            self.intents.defer(move || resource.activate());
            return Ok(());
        };
        intents.note(Box::new(staged));
        // Not this scope's own transaction: if that fails, nothing of it stays here.
        let me = self.me.clone();
        intents.defer(move || {
            if let Some(me) = me.upgrade() {
                me.adopt(resource.clone());
                resource.activate();
            }
        });
        Ok(())
    }

    /// The intents of a transaction that this thread runs in and that is not the one that made this scope.
    fn foreign(&self) -> Option<Arc<Intents>> {
        Lease::current_intents().filter(|intents| !Arc::ptr_eq(intents, &self.intents))
    }

    /// Runs `effect` now, or at commit if a reload is under way here; never if that reload fails. How an
    /// adapter makes `cancel`, `unregister` and the like part of the transaction.
    pub fn defer(&self, effect: impl FnOnce() + Send + 'static) {
        match Lease::current_intents() {
            Some(intents) => intents.defer(effect),
            None => self.intents.defer(effect),
        }
    }

    /// Registers `target` under `kind` and `key`. The same key of this module's older generation is replaced
    /// without a moment in which it is missing. Code that was replaced offers nothing new: for it this has no
    /// effect.
    ///
    /// # Errors
    /// [`RegisterError`]: there can be no such key, or another live module has it. A staged module learns of the
    /// latter in *validate* instead.
    pub fn register(&self, kind: &str, key: &str, target: Arc<dyn Callable>) -> Result<(), RegisterError> {
        let at = self.table.at_key(kind, key)?;
        let (owner, born, key) = (self.owner.clone(), self.born, key.to_owned());
        let entry = Registered { owner, born, key, target };
        if self.intents.is_open() {
            let old = self.lock().offer(at, entry);
            drop(old);
            return Ok(());
        }
        let Some(intents) = self.foreign() else {
            return self.publish(at, entry);
        };
        self.may_take(&self.table.snapshot(), &at, &entry.key)?;
        let me = self.me.clone();
        intents.defer(move || {
            let _ = me.upgrade().map(|me| me.publish(at, entry));
        });
        Ok(())
    }

    fn may_take(&self, table: &Registrations, at: &(String, String), key: &str) -> Result<(), RegisterError> {
        match table.get(at) {
            Some(taken) if taken.owner != self.owner => Err(RegisterError::Taken {
                kind: at.0.clone(),
                key: key.to_owned(),
                owner: taken.owner.clone(),
                first: taken.key.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn publish(&self, at: (String, String), entry: Registered) -> Result<(), RegisterError> {
        self.table.change(|table| {
            // Looked at under the table's lock, in which a commit sets it.
            if self.replaced.load(Ordering::Acquire) || !self.intents.is_committed() {
                return Ok(());
            }
            self.may_take(table, &at, &entry.key)?;
            table.insert(at.clone(), entry.clone());
            Ok(())
        })?;
        let old = self.lock().offer(at, entry);
        drop(old);
        Ok(())
    }

    /// Forgets what is registered under `kind` and `key`.
    pub fn unregister(&self, kind: &str, key: &str) {
        let Ok(at) = self.table.at_key(kind, key) else { return };
        if self.intents.is_open() {
            let old = self.lock().registrations.remove(&at);
            drop(old);
            return;
        }
        let me = self.me.clone();
        self.defer(move || {
            let Some(me) = me.upgrade() else { return };
            let old = me.lock().registrations.remove(&at);
            let own = |entry: &Registered| entry.owner == me.owner && entry.born == me.born;
            let _ = me.table.change(|table| {
                if table.get(&at).is_some_and(own) {
                    table.remove(&at);
                }
                Ok(())
            });
            drop(old);
        });
    }

    /// Its module was replaced or leaves: from now on it offers nothing. Said under the table's lock.
    pub(crate) fn set_replaced(&self) {
        self.replaced.store(true, Ordering::Release);
    }

    /// What it registered.
    pub fn registrations(&self) -> Vec<((String, String), Registered)> {
        self.lock().registrations.clone().into_iter().collect()
    }

    /// The resources that have not ended.
    pub fn resources(&self) -> Vec<Arc<dyn Resource>> {
        self.sweep();
        self.lock().resources.clone()
    }

    /// How many of `kind` have not ended.
    pub fn count(&self, kind: &str) -> usize {
        self.resources().iter().filter(|resource| resource.kind() == kind).count()
    }

    fn lock(&self) -> MutexGuard<'_, Owned> {
        self.owned.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
