//! The open transaction: what code that is not live yet changes in globals and states is put in before each
//! of its turns and taken out after it, until the commit leaves it in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use graceful_core::planted::{Bug, is_planted};
use graceful_core::{Lease, LeaseKind, Name, TxnCx};
use mlua::{Function, Lua, Table, Value};

use crate::record::Record;
use crate::run::Memory;
use crate::same::same_entries;
use crate::vm::Vm;

/// The functions of `lua/overlay.lua`.
pub(crate) struct Overlay {
    open: Function,
    hold: Function,
    copied: Function,
    class: Function,
    enter: Function,
    switch: Function,
    leave: Function,
    pour: Function,
}

impl Overlay {
    /// `turn` says whose top level has the turn.
    pub(crate) fn load(
        lua: &Lua,
        getmeta: &Function,
        setmeta: &Function,
        turn: &Table,
    ) -> mlua::Result<Self> {
        let chunk = lua.load(include_str!("lua/overlay.lua")).set_name("=graceful");
        let made: Table = chunk.call((getmeta, setmeta, same_entries(lua)?, lua.globals(), turn))?;
        Ok(Self {
            open: made.get("open")?,
            hold: made.get("hold")?,
            copied: made.get("copied")?,
            class: made.get("class")?,
            enter: made.get("enter")?,
            switch: made.get("switch")?,
            leave: made.get("leave")?,
            pour: made.get("pour")?,
        })
    }
}

/// One transaction's part in this VM.
pub(crate) struct Open {
    pub(crate) cx: TxnCx,
    vm: Weak<Vm>,
    changes: Table,
    /// What the modules that were staged export, by name.
    fresh: Table,
    staged: Mutex<BTreeMap<Name, Arc<Record>>>,
    /// Live modules that run a callback in this transaction.
    joined: Mutex<BTreeMap<Name, Arc<Record>>>,
    /// A turn is under way and the changes are in. Only touched under the VM's lock.
    inside: AtomicBool,
    over: AtomicBool,
    /// Top levels follow each other without anybody else in between.
    slice: Mutex<Slice>,
}

#[derive(Default)]
enum Slice {
    #[default]
    None,
    /// The changes go in with the first turn.
    Out,
    /// They stayed in after the last turn.
    In(Value),
}

/// Whose turn it is, as far as that decides what is put in.
#[derive(Clone)]
pub(crate) struct Veil {
    open: Arc<Open>,
    /// The code is new; old hooks only see what old hooks did.
    new: bool,
    hook: bool,
    who: u64,
    require: Option<Function>,
}

impl Open {
    pub(crate) fn new(vm: &Arc<Vm>, cx: TxnCx) -> mlua::Result<Arc<Self>> {
        let changes = vm.overlay.open.call(())?;
        let (staged, joined, inside, over, slice) = Default::default();
        let fresh = vm.lua.create_table()?;
        Ok(Arc::new(Self { cx, vm: Arc::downgrade(vm), changes, fresh, staged, joined, inside, over, slice }))
    }

    /// `record` is being staged; `state` is what it shares with the live version.
    pub(crate) fn staged(&self, vm: &Vm, record: &Arc<Record>, state: Option<Table>) -> mlua::Result<()> {
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.insert(record.source.name.clone(), record.clone());
        drop(staged);
        match state {
            Some(state) => vm.overlay.hold.call((&self.changes, record.id, state)),
            None => Ok(()),
        }
    }

    /// Live code of `record` runs in this transaction: what it sets belongs to it.
    pub(crate) fn join(&self, record: &Arc<Record>) {
        let mut joined = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        joined.insert(record.source.name.clone(), record.clone());
    }

    /// Whose changes are noted: what was staged, and what takes part besides.
    pub(crate) fn owners(&self) -> Vec<(u64, Name)> {
        let joined = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        let joined: Vec<Arc<Record>> = joined.values().cloned().collect();
        let all = self.records().into_iter().chain(joined);
        all.map(|record| (record.id, record.source.name.clone())).collect()
    }

    fn who(&self, name: &Name) -> u64 {
        let joined = || self.joined.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        self.record(name).or_else(joined).map_or(0, |record| record.id)
    }

    /// What is staged under `name`.
    pub(crate) fn record(&self, name: &Name) -> Option<Arc<Record>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The records staged, by name.
    pub(crate) fn records(&self) -> Vec<Arc<Record>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The state was copied, so a failure restores it.
    pub(crate) fn copied(&self, vm: &Vm, state: &Table) -> mlua::Result<()> {
        vm.overlay.copied.call((&self.changes, state))
    }

    /// New code of `record` fills `class` anew; live code sees it as it was until the commit. Called in a turn.
    pub(crate) fn class(&self, vm: &Vm, record: &Record, class: &Table) -> mlua::Result<()> {
        vm.overlay.class.call((&self.changes, record.id, class))
    }

    /// What was held back stays in. Called once, under the VM's lock.
    pub(crate) fn pour(&self, vm: &Vm) -> mlua::Result<()> {
        vm.overlay.pour.call(&self.changes)
    }

    /// What `name` exports, if it was staged.
    pub(crate) fn exports(&self, name: &str) -> mlua::Result<Value> {
        self.fresh.raw_get(name)
    }

    /// Where top levels put what they export, by the name of their module.
    pub(crate) fn fresh(&self) -> &Table {
        &self.fresh
    }

    pub(crate) fn changes(&self) -> &Table {
        &self.changes
    }

    /// Runs `work` with the changes left in between the turns of top levels. Called under the VM's lock.
    pub(crate) fn slice(&self, vm: &Vm, work: impl FnOnce()) {
        struct End<'a>(&'a Open, &'a Vm);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.lift(self.1, Slice::None);
            }
        }
        let _ = self.replace(Slice::Out);
        let _end = End(self, vm);
        work();
    }

    /// Somebody else comes between two top levels of a slice on this thread, an observer say.
    pub(crate) fn let_in(&self, vm: &Vm) {
        self.lift(vm, Slice::Out);
    }

    fn lift(&self, vm: &Vm, next: Slice) {
        if let Slice::In(frames) = self.replace(next) {
            vm.veiled.store(false, Ordering::Relaxed);
            let _unlimited = Memory::limit(&vm.lua, 0);
            self.take_out(vm, frames);
        }
    }

    fn replace(&self, slice: Slice) -> Slice {
        std::mem::replace(&mut *self.slice.lock().unwrap_or_else(PoisonError::into_inner), slice)
    }

    fn take_out(&self, vm: &Vm, frames: Value) {
        let mut out: mlua::Result<()> = Ok(());
        if self.cx.start || !is_planted(Bug::GlobalVisible) {
            out = vm.overlay.leave.call(frames);
        }
        if !std::thread::panicking() {
            out.expect("tables of the VM are written raw");
        }
    }

    /// From here on its code runs like any other.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }
}

impl Drop for Open {
    /// Whoever drops it may not wait for the VM's lock.
    fn drop(&mut self) {
        if let Some(vm) = self.vm.upgrade() {
            vm.grave.bury_tables([self.changes.clone(), self.fresh.clone()]);
        }
    }
}

impl Veil {
    /// For the top level of `record`, which has the `require` of its own.
    pub(crate) fn staging(open: &Arc<Open>, record: &Record, require: Function) -> Self {
        Self { open: open.clone(), new: true, hook: false, who: record.id, require: Some(require) }
    }

    /// For whatever runs under the lease of this thread, if that belongs to a transaction.
    pub(crate) fn current(vm: &Vm) -> Option<Self> {
        let lease = Lease::current().filter(Lease::is_transactional)?;
        let open = vm.open()?;
        let new = lease.generation() >= open.cx.generation;
        let who = open.who(lease.root());
        Some(Self { open, new, hook: lease.kind() != LeaseKind::Stage, who, require: None })
    }

    /// For a hook of `record`, new code, without a lease.
    pub(crate) fn hook(open: &Arc<Open>, record: &Record) -> Self {
        Self { open: open.clone(), new: true, hook: true, who: record.id, require: None }
    }

    /// Puts the changes in until the guard drops. Nothing if they are in already.
    pub(crate) fn lower<'a>(&'a self, vm: &'a Vm) -> Option<Lowered<'a>> {
        let open = &self.open;
        if open.over.load(Ordering::Acquire) || open.inside.swap(true, Ordering::AcqRel) {
            return None;
        }
        let generic = || self.require.as_ref().and_then(|_| vm.require.get());
        vm.veiled.store(false, Ordering::Relaxed);
        let entered = match open.replace(Slice::Out) {
            Slice::In(frames) if self.is_top_level() => {
                let args = (&frames, self.who, self.require.as_ref());
                vm.overlay.switch.call::<()>(args).map(|()| frames)
            }
            other => {
                if let Slice::In(frames) = other {
                    open.take_out(vm, frames);
                } else {
                    let _ = open.replace(other);
                }
                let args = (&open.changes, self.new, self.who, self.hook, generic(), self.require.as_ref());
                vm.overlay.enter.call(args)
            }
        };
        let frames = entered.expect("tables of the VM are written raw");
        Some(Lowered { vm, open, frames, stays: self.is_top_level() })
    }

    pub(crate) fn is_top_level(&self) -> bool {
        self.require.is_some()
    }
}

/// The changes are in; they are taken out when this drops, or when the slice ends.
pub(crate) struct Lowered<'a> {
    vm: &'a Vm,
    open: &'a Open,
    frames: Value,
    /// In a slice they stay in after this turn.
    stays: bool,
}

impl Drop for Lowered<'_> {
    fn drop(&mut self) {
        let frames = std::mem::replace(&mut self.frames, Value::Nil);
        let mut slice = self.open.slice.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stays && matches!(*slice, Slice::Out) {
            *slice = Slice::In(frames);
            self.vm.veiled.store(true, Ordering::Relaxed);
        } else {
            drop(slice);
            self.open.take_out(self.vm, frames);
        }
        self.open.inside.store(false, Ordering::Release);
    }
}
