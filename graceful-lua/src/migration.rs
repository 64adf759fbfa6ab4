//! `migrations` of a registration: the steps, checked; and what they do with copies of a state.

use std::sync::Arc;
use std::time::Duration;

use graceful_core::{DrainPolicy, HookError, Migration, MigrationCx, Migrations, Value, Version, near};
use mlua::{Function, Lua, Table};

use crate::checkpoint::{Copy, LuaCheckpoint};
use crate::overlay::Veil;
use crate::record::Kept;
use crate::run::{How, Run, Watched};
use crate::semver;
use crate::value::to_lua;
use crate::vm::Vm;

const ENTRIES: [&str; 5] = ["from", "to", "up", "down", "lossy"];
/// How long reading a draft waits for code that keeps the VM.
const PATIENCE: Duration = Duration::from_secs(1);

struct Step {
    declared: Migration,
    functions: Table,
}

type Read<T> = mlua::Result<Result<T, String>>;

/// Reads the option: steps by the version that they begin at, or a list of steps with `from`. Leaves the functions
/// in `into`, in the order of the steps.
pub(crate) fn read(lua: &Lua, option: &mlua::Value, into: &Table) -> Read<Migrations> {
    let steps = match steps(lua, option)? {
        Ok(steps) => steps,
        Err(text) => return Ok(Err(format!("option `migrations`: {text}"))),
    };
    let migrations = match Migrations::new(steps.iter().map(|step| step.declared.clone())) {
        Ok(migrations) => migrations,
        Err(error) => return Ok(Err(format!("option `migrations`: {error}"))),
    };
    for step in steps {
        let at = migrations.steps().iter().position(|known| *known == step.declared);
        into.raw_set(at.unwrap_or_default() + 1, step.functions)?;
    }
    Ok(Ok(migrations))
}

fn steps(lua: &Lua, option: &mlua::Value) -> Read<Vec<Step>> {
    let mlua::Value::Table(option) = option else {
        return Ok(Err(format!("expected a table of steps, got {}", option.type_name())));
    };
    let mut steps = Vec::new();
    for pair in option.pairs::<mlua::Value, mlua::Value>() {
        let (key, entry) = pair?;
        let is_index = matches!(key, mlua::Value::Integer(_) | mlua::Value::Number(_));
        let from = match is_index {
            true => None,
            false => match semver::read(&key) {
                Ok(from) => Some(from),
                Err(text) => return Ok(Err(text)),
            },
        };
        let read = match (&entry, &from) {
            // Several steps that begin at the same version.
            (mlua::Value::Table(list), Some(_)) if list.raw_len() > 0 => list
                .sequence_values::<mlua::Value>()
                .map(|entry| step(lua, &entry?, from.clone()))
                .collect::<mlua::Result<Result<Vec<Step>, String>>>()?,
            _ => step(lua, &entry, from)?.map(|step| vec![step]),
        };
        match read {
            Ok(read) => steps.extend(read),
            Err(text) => return Ok(Err(text)),
        }
    }
    Ok(Ok(steps))
}

fn step(lua: &Lua, entry: &mlua::Value, from: Option<Version>) -> Read<Step> {
    let label = from.as_ref().map_or("a step".to_owned(), |from| format!("the step from {from}"));
    let mlua::Value::Table(entry) = entry else {
        return Ok(Err(format!("{label}: expected a table, got {}", entry.type_name())));
    };
    let functions = lua.create_table()?;
    let (mut from, mut to, mut lossy) = (from, None, false);
    for pair in entry.pairs::<mlua::Value, mlua::Value>() {
        let (key, value) = pair?;
        let key = key.to_string()?;
        let wrong = |expected: &str| {
            Ok(Err(format!("{label}: `{key}`: expected {expected}, got {}", value.type_name())))
        };
        match (key.as_str(), &value) {
            ("from" | "to", value) => match semver::read(value) {
                Ok(version) if key == "to" => to = Some(version),
                Ok(version) if from.as_ref().is_some_and(|from| *from != version) => {
                    return Ok(Err(format!("{label}: `from` is {version}")));
                }
                Ok(version) => from = Some(version),
                Err(text) => return Ok(Err(format!("{label}: `{key}`: {text}"))),
            },
            ("up" | "down", mlua::Value::Function(function)) => functions.raw_set(key.as_str(), function)?,
            ("up" | "down", _) => return wrong("a function"),
            ("lossy", mlua::Value::Boolean(truth)) => lossy = *truth,
            ("lossy", _) => return wrong("a boolean"),
            (unknown, _) => {
                let nearest =
                    near::nearest(unknown, ENTRIES.into_iter()).map(near::meant).unwrap_or_default();
                return Ok(Err(format!("{label}: unknown entry `{unknown}`{nearest}")));
            }
        }
    }
    let (Some(from), Some(to)) = (from, to.clone()) else {
        let missing = if to.is_none() { "to" } else { "from" };
        return Ok(Err(format!("{label}: `{missing}`: expected a version, got nil")));
    };
    let (up, down) = (functions.contains_key("up")?, functions.contains_key("down")?);
    Ok(Ok(Step { declared: Migration { from, to, up, down, lossy }, functions }))
}

/// A state on its way, in the VM.
pub(crate) struct LuaDraft {
    vm: Arc<Vm>,
    table: Option<Table>,
}

impl Drop for LuaDraft {
    fn drop(&mut self) {
        if let Some(table) = self.table.take() {
            self.vm.grave.bury_tables([table]);
        }
    }
}

impl LuaDraft {
    /// A copy of the state of `record`, or of what was recorded of one.
    pub(crate) fn of(vm: &Arc<Vm>, record: u64, recorded: Option<&Value>) -> Result<Self, HookError> {
        let table = vm.hold(|| -> mlua::Result<Result<Table, String>> {
            let functions = functions(&vm.lua)?;
            let most = vm.settings.checkpoint_entries;
            if let Some(recorded) = recorded {
                return match to_lua(&vm.lua, recorded)? {
                    mlua::Value::Table(state) => functions.get::<Function>("recorded")?.call(state).map(Ok),
                    _ => Ok(Err(format!("a state is a map, got {}", recorded.kind()))),
                };
            }
            let state: Option<Table> = vm.table(record)?.raw_get("state")?;
            let Some(state) = state else { return Ok(Err("the module has no state".into())) };
            let changes = vm.open().map(|open| open.changes().clone());
            let args = (state, vm.copier.borders(), most, changes, record);
            let draft: Option<Table> = functions.get::<Function>("draft")?.call(args)?;
            Ok(draft.ok_or_else(|| format!("the state has more than {most} entries")))
        });
        let table = table.map_err(|error| HookError::new(error.to_string()))??;
        Ok(Self { vm: vm.clone(), table: Some(table) })
    }

    fn table(&self) -> &Table {
        self.table.as_ref().expect("taken when it drops")
    }

    /// Takes one step; `at` is its place among those that the module declares.
    pub(crate) async fn step(&self, kept: &Kept, at: usize, cx: &MigrationCx) -> Result<(), HookError> {
        let vm = &kept.vm;
        let how = How { veil: Veil::current(vm), budget: Some(cx.budget), ..How::default() };
        let run = Run::new(vm, how, || {
            let called = (|| {
                let steps: Table = vm.table(kept.record.id)?.raw_get("steps")?;
                let way = if cx.step.is_up() { "up" } else { "down" };
                let function: Function = steps.raw_get::<Table>(at + 1)?.raw_get(way)?;
                let state: Table = self.table().raw_get("now")?;
                let call = vm.guard.call_async::<mlua::Value>((function, state));
                Ok::<_, mlua::Error>(Watched::new(vm, call))
            })();
            async move {
                let returned = called?.await?;
                let took: Function = functions(&vm.lua)?.get("took")?;
                took.call::<Option<String>>((self.table(), returned))
            }
        });
        match run.await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(wrong))) => Err(HookError::new(wrong)),
            Ok(Err(error)) => Err(vm.script_error(&error).into()),
            Err(overrun) => Err(overrun.into_error(vm).into()),
        }
    }

    /// Makes the state of `record` what the draft is.
    pub(crate) fn pour(&self, record: u64) -> Result<LuaCheckpoint, HookError> {
        let vm = &self.vm;
        let poured = vm.hold(|| -> mlua::Result<Table> {
            let state: Table = vm.table(record)?.raw_get("state")?;
            let limit = vm.lua.set_memory_limit(0).ok();
            let before = functions(&vm.lua)?.get::<Function>("pour")?.call((state, self.table(), record));
            if let Some(limit) = limit {
                let _ = vm.lua.set_memory_limit(limit);
            }
            before
        });
        let before = poured.map_err(|error| HookError::new(error.to_string()))?;
        Ok(LuaCheckpoint { copy: Copy::of(before), vm: vm.clone() })
    }

    /// As plain data.
    pub(crate) fn save(&self) -> Value {
        self.vm.hold_at_last(PATIENCE, DrainPolicy::Abort, || match self.table().raw_get::<Table>("now") {
            Ok(now) => crate::state::plain(&now),
            Err(_) => Value::Null,
        })
    }
}

/// The functions of `lua/migration.lua`.
fn functions(lua: &Lua) -> mlua::Result<Table> {
    if let Ok(functions) = lua.named_registry_value("graceful.migration") {
        return Ok(functions);
    }
    let getmeta = lua.create_function(|_, table: Table| Ok(table.metatable()))?;
    let setmeta =
        lua.create_function(|_, (table, meta): (Table, Option<Table>)| table.set_metatable(meta))?;
    let chunk = lua.load(include_str!("lua/migration.lua")).set_name("=graceful");
    let functions: Table = chunk.call((getmeta, setmeta))?;
    lua.set_named_registry_value("graceful.migration", &functions)?;
    Ok(functions)
}

#[cfg(test)]
mod tests;
