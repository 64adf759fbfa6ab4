//! Callbacks of roles: exported functions that the engine calls as hooks, with all that they return.

use std::time::Duration;

use graceful_core::{HookError, Value};
use mlua::MultiValue;

use crate::module::LuaModule;
use crate::overlay::Veil;
use crate::run::{How, Run, Watched};
use crate::value::from_lua;

impl LuaModule {
    /// Calls `function` behind the veil of the transaction it belongs to, for `budget` at most.
    pub(crate) async fn called_back(
        &self,
        function: &str,
        args: &[Value],
        budget: Duration,
    ) -> Result<Vec<Value>, HookError> {
        let vm = self.vm();
        let how = How { veil: Veil::current(vm), budget: Some(budget), ..How::default() };
        let run = Run::new(vm, how, || {
            let called = self.function(function).and_then(|function| {
                let mut all = self.args(args)?;
                all.push_front(mlua::Value::Function(function));
                Ok(Watched::new(vm, vm.guard.call_async::<MultiValue>(all)))
            });
            async move {
                let called = called.map_err(|error| HookError::new(error.to_string()))?;
                let values = called.await.map_err(|error| HookError::from(vm.script_error(&error)))?;
                Ok(values.iter().map(plain_or_text).collect())
            }
        });
        run.await.unwrap_or_else(|overrun| Err(overrun.into_error(vm).into()))
    }
}

/// What is no plain data is told in words: an error object, say.
fn plain_or_text(value: &mlua::Value) -> Value {
    from_lua(value).unwrap_or_else(|_| {
        let text = value.to_string();
        Value::Str(text.unwrap_or_else(|_| value.type_name().to_owned()))
    })
}
