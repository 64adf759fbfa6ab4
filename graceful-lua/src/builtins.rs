//! The modules every script can require without a source: each instance gets tables of its own.

use std::sync::{Arc, Weak};

use graceful_core::{Control, Instance, World};
use mlua::{Function, Lua, Table};

use crate::caller::{Caller, Ties};
use crate::{control, coroutine, fiber, http, log};

/// The makers of the builtin modules of one VM.
pub(crate) struct Builtins {
    ties: Ties,
    factories: Vec<(&'static str, Function)>,
    control: Function,
}

impl Builtins {
    /// Prepares the VM. Called once, when the world is known.
    pub(crate) fn new(lua: &Lua, world: &Arc<World>, control: Weak<dyn Control>) -> mlua::Result<Self> {
        let ties = Ties::new(world, control);
        coroutine::install(lua)?;
        let factories = vec![
            ("fiber", fiber::factory(lua, &ties)?),
            ("http", http::factory(lua)?),
            ("log", log::factory(lua)?),
        ];
        let control = control::factory(lua, &ties)?;
        Ok(Self { ties, factories, control })
    }

    /// The builtin `name` for `instance`, `None` if there is none of that name.
    pub(crate) fn open(
        &self,
        lua: &Lua,
        name: &str,
        instance: &Arc<Instance>,
    ) -> Option<mlua::Result<Table>> {
        let (_, factory) = self.factories.iter().find(|(known, _)| *known == name)?;
        let caller = lua.create_userdata(Caller::new(&self.ties, instance));
        Some(caller.and_then(|caller| factory.call(caller)))
    }

    /// Adds `reload`, `plan`, `unregister_module`, `modules` and `own` to the module `graceful` of `instance`.
    pub(crate) fn extend(&self, lua: &Lua, graceful: &Table, instance: &Arc<Instance>) -> mlua::Result<()> {
        let caller = lua.create_userdata(Caller::new(&self.ties, instance))?;
        self.control.call((caller, graceful))
    }
}
