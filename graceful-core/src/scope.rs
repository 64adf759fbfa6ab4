//! What a generation owns: what it started (resources) and what it offers by key (registrations).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use async_trait::async_trait;

use crate::error::CallError;
use crate::gate::Generation;
use crate::intent::Intents;
use crate::lease::Lease;
use crate::lifecycle::HookError;
use crate::source::Name;
use crate::value::Value;

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
}

/// Something called by key rather than by module and name: a route, a subscription.
#[async_trait]
pub trait Callable: Send + Sync {
    /// Calls it. Runs inside a lease of the module that registered it.
    async fn call(&self, args: Vec<Value>) -> Result<Value, CallError>;
}

/// A thing registered by key.
#[derive(Clone)]
pub struct Registered {
    /// The module that registered it.
    pub owner: Name,
    /// The generation of that module that did.
    pub born: Generation,
    /// What is called.
    pub target: Arc<dyn Callable>,
}

/// What is registered, by kind and key. One immutable table, replaced whole.
pub type Registrations = BTreeMap<(String, String), Registered>;

/// A key that another module has registered already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{key}` is already registered by module `{owner}`")]
pub struct KeyTaken {
    /// The kind.
    pub kind: String,
    /// The key.
    pub key: String,
    /// Who has it.
    pub owner: Name,
}

/// The live table of registrations.
#[derive(Default)]
pub struct Table {
    live: Mutex<Arc<Registrations>>,
}

impl Table {
    /// The table as it is now. It never changes; a new one takes its place.
    pub fn snapshot(&self) -> Arc<Registrations> {
        self.live.lock().unwrap().clone()
    }

    pub(crate) fn replace(&self, next: Arc<Registrations>) -> Arc<Registrations> {
        std::mem::replace(&mut *self.live.lock().unwrap(), next)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Registrations) -> Result<(), KeyTaken>,
    ) -> Result<(), KeyTaken> {
        let mut live = self.live.lock().unwrap();
        let mut next = (**live).clone();
        change(&mut next)?;
        let old = std::mem::replace(&mut *live, Arc::new(next));
        drop(live);
        // The last reference to an old handler may live here; it is dropped outside of the lock.
        drop(old);
        Ok(())
    }
}

#[derive(Default)]
struct Owned {
    resources: Vec<Arc<dyn Resource>>,
    registrations: BTreeMap<(String, String), Arc<dyn Callable>>,
    closed: bool,
}

/// What one generation of one module owns. Staged with it, active at commit, handed over or released after.
pub struct Scope {
    owner: Name,
    born: Generation,
    intents: Arc<Intents>,
    table: Arc<Table>,
    me: Weak<Scope>,
    owned: Mutex<Owned>,
}

impl Scope {
    pub(crate) fn new(owner: Name, born: Generation, intents: Arc<Intents>, table: Arc<Table>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self { owner, born, intents, table, me: me.clone(), owned: Mutex::default() })
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
    /// own staging, or a hook that runs on this thread), else at once.
    pub fn add(&self, resource: Arc<dyn Resource>) {
        self.adopt(resource.clone());
        self.defer(move || resource.activate());
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
    /// without a moment in which it is missing.
    ///
    /// # Errors
    /// [`KeyTaken`] if another live module has it. A staged module learns of that in *validate* instead.
    pub fn register(&self, kind: &str, key: &str, target: Arc<dyn Callable>) -> Result<(), KeyTaken> {
        let at = (kind.to_owned(), key.to_owned());
        if !self.intents.is_open() {
            self.publish(&at, &target)?;
        }
        let old = self.lock().registrations.insert(at, target);
        drop(old);
        Ok(())
    }

    fn publish(&self, at: &(String, String), target: &Arc<dyn Callable>) -> Result<(), KeyTaken> {
        let entry = Registered { owner: self.owner.clone(), born: self.born, target: target.clone() };
        self.table.change(|table| match table.get(at) {
            Some(taken) if taken.owner != self.owner => {
                Err(KeyTaken { kind: at.0.clone(), key: at.1.clone(), owner: taken.owner.clone() })
            }
            _ => {
                table.insert(at.clone(), entry);
                Ok(())
            }
        })
    }

    /// Forgets what is registered under `kind` and `key`.
    pub fn unregister(&self, kind: &str, key: &str) {
        let at = (kind.to_owned(), key.to_owned());
        let old = self.lock().registrations.remove(&at);
        let me = self.me.clone();
        if old.is_some() {
            self.defer(move || {
                let Some(me) = me.upgrade() else { return };
                let _ = me.table.change(|table| {
                    if table.get(&at).is_some_and(|entry| entry.owner == me.owner) {
                        table.remove(&at);
                    }
                    Ok(())
                });
            });
        }
    }

    /// What it registered.
    pub fn registrations(&self) -> Vec<((String, String), Registered)> {
        let owned = self.lock();
        let entries = owned.registrations.iter().map(|(at, target)| {
            (at.clone(), Registered { owner: self.owner.clone(), born: self.born, target: target.clone() })
        });
        entries.collect()
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

    /// Takes `resource` in without starting it.
    pub(crate) fn adopt(&self, resource: Arc<dyn Resource>) {
        self.sweep();
        self.lock().resources.push(resource);
    }

    /// Gives the resources with these ids to `next`.
    pub(crate) fn hand_over(&self, ids: &BTreeSet<u64>, next: &Arc<Scope>) -> Vec<Arc<dyn Resource>> {
        let (kept, rest) = {
            let mut owned = self.lock();
            std::mem::take(&mut owned.resources).into_iter().partition::<Vec<_>, _>(|r| ids.contains(&r.id()))
        };
        self.lock().resources.extend(rest);
        for resource in &kept {
            next.adopt(resource.clone());
            resource.moved(next);
        }
        kept
    }

    /// Closes the scope and gives out everything that is left, last started first.
    pub(crate) fn close(&self) -> Vec<Arc<dyn Resource>> {
        let mut owned = self.lock();
        owned.closed = true;
        let registrations = std::mem::take(&mut owned.registrations);
        let mut left = std::mem::take(&mut owned.resources);
        drop(owned);
        drop(registrations);
        left.reverse();
        left
    }

    /// Whether it was closed: nothing may be started under it any more.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn sweep(&self) {
        let (done, alive) = {
            let mut owned = self.lock();
            std::mem::take(&mut owned.resources).into_iter().partition::<Vec<_>, _>(|r| r.is_done())
        };
        self.lock().resources.splice(0..0, alive);
        // Dropping a handle may take a VM's lock: not under ours.
        drop(done);
    }

    fn lock(&self) -> MutexGuard<'_, Owned> {
        self.owned.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
