//! `own(key, value, release)`: puts anything under the care of the module that made it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use graceful_core::{HookError, Resource};
use mlua::{Lua, Table, UserDataRef, Value};

use crate::record::{Identity, next_id};
use crate::run::{How, Run, Watched};
use crate::vm::Vm;

/// The name of the table of owned values in Lua's registry, by number.
const OWNED: &str = "graceful.owned";

/// `own(key, value, release)` of a record.
pub(crate) fn own(
    lua: &Lua,
    (record, key, value, release): (UserDataRef<Identity>, Value, Value, Value),
) -> mlua::Result<Value> {
    let wrong = |wanted: &str, got: &Value| {
        Err(mlua::Error::runtime(format!("own: expected {wanted}, got {}", got.type_name())))
    };
    let (Value::String(_) | Value::Integer(_) | Value::Number(_)) = key else {
        return wrong("a key", &key);
    };
    let Value::Function(release) = release else { return wrong("a function that releases it", &release) };
    let key = key.to_string()?;
    let record = &record.0;
    let scope = record.scope().ok_or_else(|| mlua::Error::runtime("own: the module is gone"))?;
    let owned: Table = match lua.named_registry_value(OWNED)? {
        Value::Table(owned) => owned,
        _ => {
            let owned = lua.create_table()?;
            lua.set_named_registry_value(OWNED, &owned)?;
            owned
        }
    };
    let id = next_id();
    let entry = lua.create_table()?;
    entry.raw_set("value", &value)?;
    entry.raw_set("release", release)?;
    owned.raw_set(id, entry)?;
    let vm = Arc::downgrade(&record.vm()?);
    let added = scope.add(Arc::new(Owned { id, key, vm, released: AtomicBool::new(false) }));
    if let Err(replaced) = added {
        owned.raw_set(id, Value::Nil)?;
        return Err(mlua::Error::external(replaced));
    }
    Ok(value)
}

struct Owned {
    id: u64,
    key: String,
    vm: Weak<Vm>,
    released: AtomicBool,
}

#[async_trait]
impl Resource for Owned {
    fn kind(&self) -> &'static str {
        "own"
    }

    fn key(&self) -> String {
        self.key.clone()
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn activate(&self) {}

    fn is_done(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    async fn release(&self) -> Result<(), HookError> {
        let Some(vm) = self.vm.upgrade() else { return Ok(()) };
        self.released.store(true, Ordering::Release);
        give_up(vm, self.id).await
    }

    fn discard(&self) -> Option<BoxFuture<'static, Result<(), HookError>>> {
        let vm = self.vm.upgrade()?;
        self.released.store(true, Ordering::Release);
        Some(Box::pin(give_up(vm, self.id)))
    }
}

async fn give_up(vm: Arc<Vm>, id: u64) -> Result<(), HookError> {
    let run = Run::new(&vm, How::call(&vm), || {
        let called = (|| {
            let owned: Table = vm.lua.named_registry_value(OWNED)?;
            let entry: Table = owned.raw_get(id)?;
            owned.raw_set(id, Value::Nil)?;
            let args = (entry.raw_get::<Value>("release")?, entry.raw_get::<Value>("value")?);
            Ok::<_, mlua::Error>(Watched::new(&vm, vm.guard.call_async::<()>(args)))
        })();
        async move { called?.await }
    });
    match run.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(vm.script_error(&error).into()),
        Err(overrun) => Err(overrun.into_error(&vm).into()),
    }
}
