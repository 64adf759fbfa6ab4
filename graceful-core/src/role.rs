//! A role: what a module says of the one it is, and the trait of those written in Rust.

pub mod error;
pub mod report;
pub mod state;

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use serde::Serialize;

use crate::lifecycle::HookResult;
use crate::manifest::{Export, Manifest};
use crate::source::Name;
use crate::value::Value;
pub use error::RoleError;
pub use report::{ApplyReport, Did, RoleReport, StopReport};
pub use state::{InstanceState, Operation};

/// What a role is called back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Callback {
    /// `init(opts)`: the role is enabled and does not run yet.
    Init,
    /// `validate_config(new, old)`: says whether a configuration would do. Has no effect.
    ValidateConfig,
    /// `before_apply_config(conf, opts)`: before any role is told a configuration.
    BeforeApplyConfig,
    /// `apply_config(conf, opts)`: the role runs and is told the configuration.
    ApplyConfig,
    /// `on_apply_config(conf, state)`: after every role was told.
    OnApplyConfig,
    /// `stop(opts)`: the role runs and is to run no more.
    Stop,
}

impl Callback {
    /// Every callback.
    pub const ALL: [Callback; 6] = [
        Callback::Init,
        Callback::ValidateConfig,
        Callback::BeforeApplyConfig,
        Callback::ApplyConfig,
        Callback::OnApplyConfig,
        Callback::Stop,
    ];

    /// The export that is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Callback::Init => "init",
            Callback::ValidateConfig => "validate_config",
            Callback::BeforeApplyConfig => "before_apply_config",
            Callback::ApplyConfig => "apply_config",
            Callback::OnApplyConfig => "on_apply_config",
            Callback::Stop => "stop",
        }
    }
}

impl fmt::Display for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role, as its module declares it: by what the module exports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoleInfo {
    /// Its name: `role_name`, or that of the module.
    pub name: String,
    /// The module.
    pub module: Name,
    /// The modules of the roles it depends on, as it lists them.
    pub dependencies: Vec<Name>,
    /// It is on everywhere, and hidden.
    pub permanent: bool,
    /// It is not listed; it runs when it is depended on.
    pub hidden: bool,
    /// A JSON Schema of its section of the configuration, which has the role's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Value>,
    /// What it is called back for.
    pub callbacks: BTreeSet<Callback>,
}

/// Whether a role declares something under this name. A language says of what it cannot give as plain data there why
/// that is so, in [`Manifest::unfit`].
pub fn is_declared(name: &str) -> bool {
    let words = ["role_name", "dependencies", "permanent", "hidden", "config_schema"];
    words.contains(&name) || Callback::ALL.iter().any(|callback| callback.as_str() == name)
}

impl RoleInfo {
    /// Reads what a module declares.
    pub(crate) fn read(manifest: &Manifest) -> Result<Self, RoleError> {
        let wrong = |reason: String| RoleError::Declaration { module: manifest.name.clone(), reason };
        if let Some(got) = manifest.returned {
            return Err(wrong(format!("it must return a table, got {got}")));
        }
        if let Some((name, reason)) = manifest.unfit.iter().find(|(name, _)| is_declared(name)) {
            return Err(wrong(format!("`{name}` is no plain data: {reason}")));
        }
        let name = match value(manifest, "role_name") {
            None => manifest.name.to_string(),
            Some(Ok(Value::Str(name))) if !name.is_empty() => name.clone(),
            Some(other) => return Err(wrong(format!("`role_name` must be a string, got {}", kind(other)))),
        };
        let flag = |key: &str| match value(manifest, key) {
            None | Some(Ok(Value::Null)) => Ok(false),
            Some(Ok(Value::Bool(on))) => Ok(*on),
            Some(other) => Err(wrong(format!("`{key}` must be a boolean, got {}", kind(other)))),
        };
        let dependencies = match value(manifest, "dependencies") {
            None | Some(Ok(Value::Null)) => Vec::new(),
            Some(Ok(Value::List(list))) => {
                let name = |item: &Value| match item {
                    Value::Str(name) => Ok(Name::from(name.as_str())),
                    other => Err(wrong(format!(
                        "`dependencies` must be a list of names of modules, and has a {}",
                        other.kind()
                    ))),
                };
                list.iter().map(name).collect::<Result<_, _>>()?
            }
            Some(other) => {
                let got = kind(other);
                return Err(wrong(format!("`dependencies` must be a list of names of modules, got {got}")));
            }
        };
        let callbacks = Callback::ALL
            .into_iter()
            .filter(|callback| matches!(manifest.exports.get(callback.as_str()), Some(Export::Function)));
        let callbacks = callbacks.collect();
        let no_function = Callback::ALL.into_iter().find_map(|callback| {
            let value = value(manifest, callback.as_str())?.ok()?;
            Some(format!("`{callback}` must be a function, got {}", value.kind()))
        });
        if let Some(reason) = no_function {
            return Err(wrong(reason));
        }
        let config_schema = match value(manifest, "config_schema") {
            None | Some(Ok(Value::Null)) => None,
            Some(Ok(schema)) => Some(schema.clone()),
            Some(Err(())) => return Err(wrong("`config_schema` must be a JSON Schema, got function".into())),
        };
        let permanent = flag("permanent")?;
        let hidden = flag("hidden")? || permanent;
        let module = manifest.name.clone();
        Ok(Self { name, module, dependencies, permanent, hidden, config_schema, callbacks })
    }
}

/// What is exported under `key`; an error if that is a function.
fn value<'a>(manifest: &'a Manifest, key: &str) -> Option<Result<&'a Value, ()>> {
    Some(match manifest.exports.get(key)? {
        Export::Value(value) => Ok(value),
        Export::Function => Err(()),
    })
}

fn kind(found: Result<&Value, ()>) -> &'static str {
    found.map_or("function", Value::kind)
}

/// What a callback of a role in Rust is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoleCx {
    /// What the configuration was applied with: `is_master` and whatever else was given.
    pub opts: Value,
}

impl RoleCx {
    /// Whether this instance is the one that writes.
    pub fn is_master(&self) -> bool {
        matches!(self.opts.get("is_master"), Some(Value::Bool(true)))
    }
}

/// A role written in Rust: [`Native::role`](crate::Native::role) makes a module of it. Each callback has a default
/// that does nothing. After the roles of Cartridge.
///
/// When a configuration is applied, for a role that is enabled: [`init`](Role::init) if it does not run yet, then
/// [`apply_config`](Role::apply_config); for one that runs and is not enabled any more: [`stop`](Role::stop).
/// Dependencies come first, for `stop` dependents.
#[async_trait]
pub trait Role: Send + Sync + 'static {
    /// Its name; the module's if it has none.
    fn role_name(&self) -> Option<&str> {
        None
    }

    /// The modules of the roles it depends on.
    fn dependencies(&self) -> &[&str] {
        &[]
    }

    /// It is on everywhere, and hidden.
    fn is_permanent(&self) -> bool {
        false
    }

    /// It is not listed.
    fn is_hidden(&self) -> bool {
        false
    }

    /// A JSON Schema of its section of the configuration.
    fn config_schema(&self) -> Option<Value> {
        None
    }

    /// Starts it. In a reload: on the new code, and what it starts goes live with the commit. After an error the
    /// role does not run; in a reload that is rolled back.
    async fn init(&self, _cx: &RoleCx) -> HookResult {
        Ok(())
    }

    /// Says whether `new` would do; `old` is what is applied now. Has no effect. An error refuses it.
    async fn validate_config(&self, _new: &Value, _old: &Value) -> HookResult {
        Ok(())
    }

    /// Before any role is told a configuration. An error is reported and fails nothing.
    async fn before_apply_config(&self, _conf: &Value, _cx: &RoleCx) -> HookResult {
        Ok(())
    }

    /// Tells it the configuration. After an error it runs all the same; a reload is rolled back.
    async fn apply_config(&self, _conf: &Value, _cx: &RoleCx) -> HookResult {
        Ok(())
    }

    /// After every role was told; `state` is what they came to. An error is reported and fails nothing.
    async fn on_apply_config(&self, _conf: &Value, _state: &str) -> HookResult {
        Ok(())
    }

    /// Stops it: it is disabled, or reloaded, or the engine shuts down. An error is reported, and the role is
    /// stopped all the same. In a reload that fails afterwards its `init` runs again.
    async fn stop(&self, _cx: &RoleCx) -> HookResult {
        Ok(())
    }
}
