//! What all modules of one fake backend share: the engine, the globals, and what a transaction holds back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use async_trait::async_trait;
use graceful_core::planted::{Bug, is_planted};
use graceful_core::{
    CallError, Clock, Control, HookError, Intents, Lease, LeaseKind, Resource, Scope, Value, World,
};

use super::object::{Entries, MapRef, Object};

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// A number no other resource of this process has.
pub(crate) fn number() -> u64 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// One value of a global, and the resource of the generation that set it.
struct Layer {
    owner: u64,
    data: Object,
}

/// What all modules of one fake backend share.
#[derive(Default)]
pub(crate) struct Vm {
    pub(crate) name: String,
    /// Held while script code has its turn.
    pub(crate) turn: Mutex<()>,
    engine: OnceLock<(Weak<World>, Weak<dyn Control>)>,
    globals: Mutex<BTreeMap<String, Vec<Layer>>>,
    overlay: Mutex<Option<Arc<Overlay>>>,
}

/// What staged code and hooks of one transaction did, unseen by live code.
pub(crate) struct Overlay {
    intents: Arc<Intents>,
    globals: Mutex<BTreeMap<String, Vec<Layer>>>,
    states: Mutex<Vec<(MapRef, Entries)>>,
}

impl Vm {
    pub(crate) fn named(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), ..Self::default() })
    }

    pub(crate) fn attach(&self, world: &Arc<World>, control: Weak<dyn Control>) {
        let _ = self.engine.set((Arc::downgrade(world), control));
    }

    pub(crate) fn world(&self) -> Result<Arc<World>, CallError> {
        self.engine.get().and_then(|(world, _)| world.upgrade()).ok_or(CallError::Stopped)
    }

    pub(crate) fn control(&self) -> Result<Arc<dyn Control>, CallError> {
        self.engine.get().and_then(|(_, control)| control.upgrade()).ok_or(CallError::Stopped)
    }

    pub(crate) fn clock(&self) -> Result<Arc<dyn Clock>, CallError> {
        Ok(self.world()?.clock.clone())
    }

    /// Opens the overlay of the transaction that owns `intents`.
    pub(crate) fn begin(&self, intents: Arc<Intents>) -> Arc<Overlay> {
        let overlay = Arc::new(Overlay { intents, globals: Mutex::default(), states: Mutex::default() });
        *self.overlay.lock().unwrap() = Some(overlay.clone());
        overlay
    }

    /// Puts what the overlay holds where live code sees it, and calls `swap`, in one step.
    pub(crate) fn commit(&self, overlay: &Overlay, swap: &mut dyn FnMut()) {
        let mut globals = self.globals.lock().unwrap();
        for (state, entries) in std::mem::take(&mut *overlay.states.lock().unwrap()) {
            entries.into_iter().for_each(|(key, data)| state.set(&key, data));
        }
        for (name, layers) in std::mem::take(&mut *overlay.globals.lock().unwrap()) {
            let live = globals.entry(name).or_default();
            layers.into_iter().for_each(|layer| put(live, layer));
        }
        swap();
        drop(globals);
        self.close(overlay);
    }

    /// Forgets what the open transaction holds back for these entries of a state.
    pub(crate) fn forget(&self, state: &MapRef, keys: &[String]) {
        let Some(overlay) = self.overlay.lock().unwrap().clone() else { return };
        let mut states = overlay.states.lock().unwrap();
        let held = states.iter_mut().filter(|(map, _)| map.is(state));
        held.for_each(|(_, entries)| entries.retain(|key, _| !keys.contains(key)));
    }

    /// Forgets the overlay and what is left in it.
    pub(crate) fn close(&self, overlay: &Overlay) {
        let mut open = self.overlay.lock().unwrap();
        if open.as_ref().is_some_and(|open| std::ptr::eq(&**open, overlay)) {
            *open = None;
        }
    }

    /// The overlay of the transaction this thread runs in.
    fn overlay(&self) -> Option<Arc<Overlay>> {
        let intents = Lease::current_intents()?;
        self.overlay.lock().unwrap().clone().filter(|overlay| Arc::ptr_eq(&overlay.intents, &intents))
    }

    /// The global `name`, as the running code sees it.
    pub(crate) fn global(&self, name: &str) -> Object {
        if let Some(overlay) = self.overlay()
            && let Some(layer) = overlay.globals.lock().unwrap().get(name).and_then(|layers| layers.last())
        {
            return layer.data.clone();
        }
        let globals = self.globals.lock().unwrap();
        globals.get(name).and_then(|layers| layers.last()).map(|layer| layer.data.clone()).unwrap_or_default()
    }

    /// Every global that is set, as live code sees it.
    pub(crate) fn globals(&self) -> BTreeMap<String, Value> {
        let globals = self.globals.lock().unwrap();
        let last =
            globals.iter().filter_map(|(name, layers)| Some((name.clone(), layers.last()?.data.clone())));
        last.filter_map(|(name, data)| Some((name, data.to_value()?))).collect()
    }

    /// Sets the global `name` for code that `scope` owns.
    pub(crate) fn set_global(self: &Arc<Self>, scope: &Scope, name: &str, data: Object) {
        let owner = self.global_of(scope, name);
        let layer = Layer { owner, data };
        let overlay = self.overlay().filter(|_| !is_planted(Bug::GlobalVisible));
        let globals = overlay.as_ref().map_or(&self.globals, |overlay| &overlay.globals);
        put(globals.lock().unwrap().entry(name.to_owned()).or_default(), layer);
    }

    /// The resource by which `scope` owns the global `name`.
    fn global_of(self: &Arc<Self>, scope: &Scope, name: &str) -> u64 {
        let known = scope.resources().into_iter().find(|r| r.kind() == "global" && r.key() == name);
        if let Some(known) = known {
            return known.id();
        }
        let id = number();
        // Old code may write a global, which then is nobody's.
        let _ = scope.add(Arc::new(Global { id, name: name.to_owned(), vm: Arc::downgrade(self) }));
        id
    }

    /// The entry `key` of a module's state, as the running code sees it.
    pub(crate) fn state_entry(&self, state: &MapRef, key: &str) -> Object {
        if ahead()
            && let Some(overlay) = self.overlay()
            && let Some((_, held)) = overlay.states.lock().unwrap().iter().find(|(map, _)| map.is(state))
            && let Some(data) = held.get(key)
        {
            return data.clone();
        }
        state.get(key)
    }

    /// Sets an entry of a module's state: held back to the commit if a top level does it, or a hook of new code where
    /// its top level did.
    pub(crate) fn set_state_entry(&self, state: &MapRef, key: &str, data: Object) {
        let Some(overlay) = self.overlay().filter(|_| ahead()) else { return state.set(key, data) };
        let mut states = overlay.states.lock().unwrap();
        let has = |(map, held): &(MapRef, Entries)| map.is(state) && held.contains_key(key);
        if !staging() && !states.iter().any(has) {
            drop(states);
            return state.set(key, data);
        }
        let at = states.iter().position(|(map, _)| map.is(state)).unwrap_or_else(|| {
            states.push((state.clone(), Entries::new()));
            states.len() - 1
        });
        states[at].1.insert(key.to_owned(), data);
    }
}

/// What was written last shows; one value an owner.
fn put(layers: &mut Vec<Layer>, layer: Layer) {
    layers.retain(|known| known.owner != layer.owner);
    layers.push(layer);
}

/// New code runs on this thread.
fn ahead() -> bool {
    staging() || Lease::current().is_some_and(|lease| lease.is_ahead())
}

fn staging() -> bool {
    Lease::current().is_some_and(|lease| lease.kind() == LeaseKind::Stage)
}

/// A generation's claim on a global: released, the value of whoever set it before shows again.
struct Global {
    id: u64,
    name: String,
    vm: Weak<Vm>,
}

#[async_trait]
impl Resource for Global {
    fn kind(&self) -> &'static str {
        "global"
    }

    fn key(&self) -> String {
        self.name.clone()
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn activate(&self) {}

    async fn release(&self) -> Result<(), HookError> {
        if let Some(vm) = self.vm.upgrade()
            && let Some(layers) = vm.globals.lock().unwrap().get_mut(&self.name)
        {
            layers.retain(|layer| layer.owner != self.id);
        }
        Ok(())
    }
}
