//! What a module registered, and the object it got for it.

use graceful_core::lifecycle::Hook;
use graceful_core::{CheckpointMode, Hooks, Name, Version};
use rhai::{Engine, FnPtr};

use crate::semver::Semver;
use crate::steps::Steps;
use crate::table::Table;

/// What a module registered with.
#[derive(Clone, Default)]
pub(crate) struct Registration {
    pub(crate) version: Option<Version>,
    pub(crate) checkpoint: CheckpointMode,
    pub(crate) drain: bool,
    pub(crate) steps: Steps,
    hooks: Vec<(Hook, FnPtr)>,
}

impl Registration {
    pub(crate) fn add(&mut self, hook: Hook, function: FnPtr) {
        self.hooks.push((hook, function));
    }

    pub(crate) fn hook(&self, wanted: Hook) -> Option<&FnPtr> {
        self.hooks.iter().find(|(hook, _)| *hook == wanted).map(|(_, function)| function)
    }

    /// Which hooks there are.
    pub(crate) fn hooks(&self) -> Hooks {
        let has = |hook| self.hook(hook).is_some();
        Hooks {
            init: has(Hook::Init),
            before_reload: has(Hook::BeforeReload),
            after_reload: has(Hook::AfterReload),
            rollback: has(Hook::Rollback),
            finalize: has(Hook::Finalize),
        }
    }
}

/// The object that stands for one generation of a module in scripts: `name`, `version`, `state`.
#[derive(Clone, Debug)]
pub(crate) struct ModuleObject {
    pub(crate) name: Name,
    pub(crate) version: Option<Version>,
    pub(crate) state: Table,
}

/// What the object can tell.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<ModuleObject>("Module");
    engine.register_get("name", |object: &mut ModuleObject| object.name.to_string());
    engine.register_get("version", |object: &mut ModuleObject| match &object.version {
        Some(version) => rhai::Dynamic::from(Semver(version.clone())),
        None => rhai::Dynamic::UNIT,
    });
    engine.register_get("state", |object: &mut ModuleObject| object.state.clone());
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |object: &mut ModuleObject| match &object.version {
            Some(version) => format!("module {} {version}", object.name),
            None => format!("module {}", object.name),
        });
    }
}
