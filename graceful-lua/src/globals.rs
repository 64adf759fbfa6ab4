//! Globals are owned like tasks: those a generation made go when it is retired, unless the next one made them
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use graceful_core::{HookError, Name, Resource};
use mlua::{Function, Lua, Table};

use crate::overlay::Open;
use crate::record::next_id;
use crate::vm::Vm;

/// The functions of `lua/globals.lua`, and which claims the last commits renewed.
pub(crate) struct Globals {
    claim: Function,
    owned: Function,
    release: Function,
    next: Function,
    renewed: Mutex<BTreeSet<u64>>,
}

/// A global that its module's code made while it loaded or in a hook.
struct Global {
    id: u64,
    name: String,
    vm: Weak<Vm>,
    released: AtomicBool,
}

/// The globals a commit made, by module: they go into the scopes once it is done.
pub(crate) type Claims = Vec<(Name, Arc<dyn Resource>)>;

impl Globals {
    pub(crate) fn load(lua: &Lua) -> mlua::Result<Self> {
        let chunk = lua.load(include_str!("lua/globals.lua")).set_name("=graceful");
        let (claim, owned, release) = chunk.call(lua.globals())?;
        let next = lua.create_function(|_, ()| Ok(next_id()))?;
        Ok(Self { claim, owned, release, next, renewed: Mutex::default() })
    }

    /// Notes who made which global in the transaction that is about to be committed. Called under the VM's
    /// lock, before the globals go in.
    pub(crate) fn claim(&self, vm: &Arc<Vm>, open: &Open) -> mlua::Result<Claims> {
        let changes = open.changes();
        let layers: [Table; 2] = [changes.raw_get("old")?, changes.raw_get("new")?];
        let owned: Option<BTreeMap<String, BTreeMap<String, u64>>> = self.owned.call(())?;
        let mut changed = false;
        for layer in &layers {
            changed |= !layer.raw_get::<Table>("by")?.is_empty();
        }
        if owned.is_none() && !changed {
            return Ok(Vec::new());
        }
        let (owned, mut renewed) = (owned.unwrap_or_default(), BTreeSet::new());
        let owners = vm.lua.create_table()?;
        for (id, name) in open.owners() {
            owners.raw_set(id, name.as_str())?;
        }
        for record in open.records() {
            let name = record.source.name.as_str();
            let made = owned.get(name).into_iter().flatten();
            let made = made.filter(|(global, _)| assigns(&record.source.text, global));
            renewed.extend(made.map(|(_, id)| *id));
        }
        let (fresh, again): (Vec<Table>, Vec<u64>) =
            self.claim.call((layers.to_vec(), owners, &self.next))?;
        renewed.extend(again);
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner).extend(renewed);
        let made = fresh.into_iter().map(|claim| {
            let (owner, id, name): (String, u64, String) = (claim.get(1)?, claim.get(2)?, claim.get(3)?);
            let global = Global { id, name, vm: Arc::downgrade(vm), released: AtomicBool::new(false) };
            Ok((Name::from(owner), Arc::new(global) as Arc<dyn Resource>))
        });
        made.collect()
    }

    /// Which of `candidates` the new generation made again.
    pub(crate) fn renewed(&self, candidates: &BTreeSet<u64>) -> BTreeSet<u64> {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        candidates.iter().filter(|id| renewed.remove(id)).copied().collect()
    }
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

    /// The commit has put it in.
    fn activate(&self) {}

    fn is_done(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    async fn release(&self) -> Result<(), HookError> {
        let Some(vm) = self.vm.upgrade() else { return Ok(()) };
        self.released.store(true, Ordering::Release);
        let released = vm.hold(|| vm.globals.release.call::<()>(self.id));
        released.map_err(|error| HookError::new(error.to_string()))
    }
}

/// Whether `text` assigns to the global `name`, as far as reading it tells. Where the new code assigns what
/// was there already (`cache = cache or {}`) nothing changes, and yet it makes the global again.
fn assigns(text: &[u8], name: &str) -> bool {
    let text = String::from_utf8_lossy(text);
    text.lines().map(|line| line.split("--").next().unwrap_or_default()).any(|line| {
        line.match_indices(name).any(|(at, _)| {
            let (before, after) = (&line[..at], line[at + name.len()..].trim_start());
            let part = |c: char| c.is_alphanumeric() || c == '_';
            let whole = !before.ends_with(part) && !line[at + name.len()..].starts_with(part);
            let before = before.trim_end();
            let set = after.starts_with(',') || (after.starts_with('=') && !after.starts_with("=="));
            let field = before.ends_with('.') && !before.ends_with("_G.") || before.ends_with(':');
            whole && !field && (set || before.ends_with("function"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::assigns;

    #[test]
    fn assignments_are_found_by_reading() {
        for text in
            ["x = 1", "x, y = 1", "y, x = 1, 2", "function x() end", "_G.x = 1", "if a then x=x or {} end"]
        {
            assert!(assigns(text.as_bytes(), "x"), "{text}");
        }
        for text in
            ["return x", "if x == 1 then end", "-- x = 1", "a.x = 1", "xx = 1", "function m:x() end", "x()"]
        {
            assert!(!assigns(text.as_bytes(), "x"), "{text}");
        }
    }
}
