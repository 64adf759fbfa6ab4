//! What a script registers: the options, checked, as a manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use graceful_core::error::ScriptErrorKind;
use graceful_core::near::{distance, meant};
use graceful_core::{CheckpointMode, Export, Hooks, Lease, Manifest, Place, ScriptError, Value, Version};

use super::room::{Room, failed};

const HOOKS: [&str; 6] = ["init", "before_reload", "after_reload", "on_reload", "rollback", "finalize"];
const OPTIONS: [&str; 4] = ["version", "checkpoint", "drain", "migrations"];

impl Room {
    /// What the module says of itself, its options checked.
    pub(crate) fn manifest(self: &Arc<Self>) -> Result<Manifest, ScriptError> {
        let mut manifest = Manifest { exports: self.exports(), ..Manifest::plain(self.name.clone()) };
        if let Some((name, options, line)) = &self.program.register {
            let place = Place { file: self.origin.clone(), line: Some(*line), column: None };
            let checked = self.check_name(name).and_then(|()| self.options(options, &mut manifest));
            checked.map_err(|message| ScriptError::new(ScriptErrorKind::Registration, message).at(place))?;
            manifest.registered = true;
        }
        Ok(manifest)
    }

    fn exports(&self) -> BTreeMap<String, Export> {
        let functions = self.program.functions.keys().map(|name| (name.clone(), Export::Function));
        let values =
            self.program.values.iter().map(|(name, value)| (name.clone(), Export::Value(value.clone())));
        functions.chain(values).collect()
    }

    /// A module is registered by the name it is loaded by; a name that another source has says both files.
    fn check_name(&self, name: &str) -> Result<(), String> {
        if *name == *self.name {
            return Ok(());
        }
        let world = self.vm.world().map_err(|error| failed(error).message)?;
        let generation = Lease::current_generation().unwrap_or_else(|| world.gate.live());
        match world.instance_at(name, generation).or_else(|| world.live(name)) {
            Some(taken) => {
                let (first, second) = (&taken.source.origin, &self.origin);
                Err(format!(
                    "module `{}` registers `{name}`, which is taken by {first}; it is {second}",
                    self.name
                ))
            }
            None => Err(format!("module `{}` registers under another name, `{name}`", self.name)),
        }
    }

    fn options(&self, options: &BTreeMap<String, Value>, manifest: &mut Manifest) -> Result<(), String> {
        let hooks = &self.program.hooks;
        let wrong = |option: &str, expected: &str, got: &Value| {
            Err(format!("module `{}`, option `{option}`: expected {expected}, got {}", self.name, got.kind()))
        };
        hooks.keys().try_for_each(|name| self.known(name))?;
        for (name, value) in options {
            self.known(name)?;
            match (name.as_str(), value) {
                ("version", value) => {
                    let version = Version::from_value(value);
                    let version =
                        version.map_err(|e| format!("module `{}`, option `version`: {e}", self.name))?;
                    let _ = self.version.set(version.to_string());
                    manifest.version = Some(version);
                }
                ("checkpoint", Value::Str(mode)) => manifest.checkpoint = self.mode(mode)?,
                ("checkpoint", other) => return wrong("checkpoint", "a string", other),
                ("drain", Value::Bool(drain)) => manifest.drain = *drain,
                ("migrations", _) => {}
                ("drain", other) => return wrong("drain", "a boolean", other),
                (hook, other) => return wrong(hook, "a function", other),
            }
        }
        if hooks.contains_key("after_reload") && hooks.contains_key("on_reload") {
            return Err(format!("module `{}`: `after_reload` and `on_reload` are the same hook", self.name));
        }
        manifest.migrations = self.migrations(options.get("migrations"))?;
        if !manifest.migrations.is_empty() && manifest.version.is_none() {
            return Err(format!(
                "module `{}`, option `migrations`: they need the option `version`",
                self.name
            ));
        }
        manifest.hooks = Hooks {
            init: hooks.contains_key("init"),
            before_reload: hooks.contains_key("before_reload"),
            after_reload: hooks.contains_key("after_reload") || hooks.contains_key("on_reload"),
            rollback: hooks.contains_key("rollback"),
            finalize: hooks.contains_key("finalize"),
        };
        Ok(())
    }

    fn mode(&self, mode: &str) -> Result<CheckpointMode, String> {
        match mode {
            "auto" => Ok(CheckpointMode::Auto),
            "own" => Ok(CheckpointMode::Own),
            "none" => Ok(CheckpointMode::None),
            other => Err(format!(
                "module `{}`, option `checkpoint`: expected `auto`, `own` or `none`, got `{other}`",
                self.name
            )),
        }
    }

    fn known(&self, option: &str) -> Result<(), String> {
        let all = || HOOKS.iter().chain(&OPTIONS).copied();
        if all().any(|known| known == option) {
            return Ok(());
        }
        let nearest = all().min_by_key(|known| distance(known, option)).unwrap_or_default();
        Err(format!("module `{}`: unknown option `{option}`{}", self.name, meant(nearest)))
    }
}
