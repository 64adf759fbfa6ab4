//! Checkpoints of states: taken before hooks run on them, restored when the reload fails.

use graceful_core::HookError;
use mlua::{Function, Lua, Table, Value};

use crate::fiber::{Cond, fiber_id};
use crate::semver::Semver;
use crate::vm::Vm;

/// The functions of `lua/checkpoint.lua`.
pub(crate) struct Copier {
    copy: Function,
    restore: Function,
    /// Tables that belong to some module or to all, so that a copy of another state stops at them.
    borders: Table,
}

/// A copy of one module's state, in the VM.
pub(crate) struct Copy {
    copies: Option<Table>,
    /// Where the state holds something native: what changes in it changes for good.
    pub(crate) foreign: Vec<String>,
}

impl Copy {
    /// What one table held, as `restore` reads it.
    pub(crate) fn of(copies: Table) -> Self {
        Self { copies: Some(copies), foreign: Vec::new() }
    }
}

impl Copier {
    pub(crate) fn borders(&self) -> &Table {
        &self.borders
    }

    pub(crate) fn load(lua: &Lua, getmeta: &Function, setmeta: &Function) -> mlua::Result<Self> {
        let foreign = lua.create_function(|_, value: Value| match &value {
            Value::UserData(object) => {
                Ok(!object.is::<Semver>() && !object.is::<Cond>() && fiber_id(object).is_none())
            }
            _ => Ok(false),
        })?;
        let chunk = lua.load(include_str!("lua/checkpoint.lua")).set_name("=graceful");
        let (copy, restore) = chunk.call((getmeta, setmeta, foreign))?;
        let borders = lua.create_table()?;
        let weak = lua.create_table()?;
        weak.raw_set("__mode", "k")?;
        borders.set_metatable(Some(weak))?;
        let globals = lua.globals();
        for value in globals.pairs::<Value, Value>() {
            if let (_, Value::Table(library)) = value? {
                borders.raw_set(library, true)?;
            }
        }
        borders.raw_set(globals, true)?;
        Ok(Self { copy, restore, borders })
    }

    /// `table` belongs to one module, or to all.
    pub(crate) fn border(&self, table: &Table) -> mlua::Result<()> {
        self.borders.raw_set(table, true)
    }
}

impl Vm {
    /// Copies the state of `record`. Called under the VM's lock.
    pub(crate) fn copy(&self, record: u64) -> Result<Copy, HookError> {
        let failed = |error: mlua::Error| HookError::new(error.to_string());
        let state: Option<Table> =
            self.table(record).and_then(|table| table.raw_get("state")).map_err(failed)?;
        let Some(state) = state else { return Ok(Copy { copies: None, foreign: Vec::new() }) };
        let most = self.settings.checkpoint_entries;
        let args = (&state, &self.copier.borders, most);
        let (copies, foreign): (Option<Table>, Option<Vec<String>>) =
            self.copier.copy.call(args).map_err(failed)?;
        let copies = copies.ok_or_else(|| {
            HookError::new(format!(
                "the state has more than {most} entries; declare checkpoint = 'own' or 'none'"
            ))
        })?;
        if let Some(open) = self.open() {
            open.copied(self, &state).map_err(failed)?;
        }
        let mut foreign = foreign.unwrap_or_default();
        foreign.sort();
        Ok(Copy { copies: Some(copies), foreign })
    }

    /// Makes a state what it was. Called under the VM's lock.
    pub(crate) fn restore(&self, copy: &Copy) -> Result<(), HookError> {
        let Some(copies) = &copy.copies else { return Ok(()) };
        self.copier.restore.call(copies).map_err(|error| HookError::new(error.to_string()))
    }
}

/// What the core keeps for this backend.
pub(crate) struct LuaCheckpoint {
    pub(crate) copy: Copy,
    pub(crate) vm: std::sync::Arc<Vm>,
}

impl Drop for LuaCheckpoint {
    fn drop(&mut self) {
        if let Some(copies) = self.copy.copies.take() {
            self.vm.grave.bury_tables([copies]);
        }
    }
}
