//! A role written in Rust as a native module: its declaration and its callbacks are exports, as scripts have them.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Native;
use crate::error::{CallError, ScriptError};
use crate::lifecycle::{HookError, HookResult};
use crate::role::{Callback, Role, RoleCx};
use crate::value::Value;

impl Native {
    /// Makes the module a role: it is registered by the name of the module, see
    /// [`Instance::cfg`](crate::instance::Instance::cfg).
    pub fn role(self, role: impl Role) -> Self {
        let role: Arc<dyn Role> = Arc::new(role);
        let dependencies: Vec<Value> = role.dependencies().iter().map(|name| Value::from(*name)).collect();
        let mut native = self.value("dependencies", dependencies);
        if let Some(name) = role.role_name() {
            native = native.value("role_name", name);
        }
        if let Some(schema) = role.config_schema() {
            native = native.value("config_schema", schema);
        }
        native = native.value("permanent", role.is_permanent()).value("hidden", role.is_hidden());
        Callback::ALL.into_iter().fold(native, |native, callback| {
            let role = role.clone();
            native.async_function(callback.as_str(), move |args| called(role.clone(), callback, args))
        })
    }
}

fn called(
    role: Arc<dyn Role>,
    callback: Callback,
    args: Vec<Value>,
) -> BoxFuture<'static, Result<Value, CallError>> {
    Box::pin(async move {
        let mut args = args.into_iter();
        let (first, second) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
        let cx = |opts: &Value| RoleCx { opts: opts.clone() };
        let result: HookResult = match callback {
            Callback::Init => role.init(&cx(&first)).await,
            Callback::ValidateConfig => role.validate_config(&first, &second).await,
            Callback::BeforeApplyConfig => role.before_apply_config(&first, &cx(&second)).await,
            Callback::ApplyConfig => role.apply_config(&first, &cx(&second)).await,
            Callback::OnApplyConfig => {
                role.on_apply_config(&first, second.as_str().unwrap_or_default()).await
            }
            Callback::Stop => role.stop(&cx(&first)).await,
        };
        result.map(|()| true.into()).map_err(|HookError { message, place, .. }| {
            let error = ScriptError::runtime(message);
            CallError::Script(match place {
                Some(place) => error.at(place),
                None => error,
            })
        })
    })
}
