//! The Lua backend: what an embedder builds and gives to the engine.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use graceful_core::backend::parse_on_threads;
use graceful_core::{Backend, CallError, Compiled, Control, Kept, ScriptError, Source, Txn, TxnCx, World};
use mlua::{Lua, LuaOptions, StdLib};

use crate::compile::Given;
use crate::console::Console;
use crate::handle::LuaFunction;
use crate::pauses::Pauses;
use crate::stage::LuaTxn;
use crate::vm::{Settings, Vm};
use crate::{builtin, compile, interrupt};

/// How many coroutines are kept for the next calls.
const COROUTINES: usize = 64;

/// Lua modules: one live VM that holds several generations of every module.
pub struct LuaBackend {
    pub(crate) vm: Arc<Vm>,
    given: Given,
    console: Console,
}

/// Builds a [`LuaBackend`].
#[derive(Default)]
pub struct LuaBackendBuilder {
    lua: Option<Lua>,
    libs: Option<StdLib>,
    turn_limit: Option<Duration>,
    settings: Settings,
}

impl LuaBackendBuilder {
    /// Uses a VM of the embedder's own, with whatever is in it: the modules it has loaded stay what `require`
    /// gives for their names. How to have `debug` or `ffi`, which safe VMs lack.
    pub fn lua(mut self, lua: Lua) -> Self {
        self.lua = Some(lua);
        self
    }

    /// The standard libraries of a VM that is made here; all safe ones unless told otherwise.
    pub fn libs(mut self, libs: StdLib) -> Self {
        self.libs = Some(libs);
        self
    }

    /// How much memory the VM may use, in bytes. Not unless set.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.settings.memory = Some(bytes);
        self
    }

    /// How much the VM may grow while the top level or a hook of one module has its turn, in bytes; 64 MiB
    /// unless set.
    pub fn stage_memory(mut self, bytes: usize) -> Self {
        self.settings.stage_memory = bytes;
        self
    }

    /// How long staging keeps the VM before it lets calls in between, by the machine's time; 300 us unless set. Where
    /// runs must not depend on the machine, more than any staging takes.
    pub fn stage_slice(mut self, most: Duration) -> Self {
        self.settings.stage_slice = most;
        self
    }

    /// Cancels every call and every turn of a task that keeps the VM for longer than `most` without yielding.
    /// Unless set they may: nothing else runs in the VM meanwhile, and only a reload that waits for it stops
    /// tasks.
    pub fn turn_limit(mut self, most: Duration) -> Self {
        self.turn_limit = Some(most);
        self
    }

    /// How many entries a state may have that is copied before reload hooks run on it; a million unless set.
    pub fn checkpoint_entries(mut self, entries: usize) -> Self {
        self.settings.checkpoint_entries = entries;
        self
    }

    /// The backend.
    ///
    /// # Errors
    /// The libraries are unsafe ones, or the VM has no memory left.
    pub fn build(self) -> mlua::Result<LuaBackend> {
        let lua = match self.lua {
            Some(lua) => lua,
            None => {
                let options = LuaOptions::new().thread_pool_size(COROUTINES);
                Lua::new_with(self.libs.unwrap_or(StdLib::ALL_SAFE), options)?
            }
        };
        if let Some(bytes) = self.settings.memory {
            lua.set_memory_limit(bytes)?;
        }
        let vm = Vm::new(lua, self.settings)?;
        if let Some(most) = self.turn_limit {
            vm.turns.limit(most);
        }
        let mut fixed: BTreeSet<String> = vm.imports.presets()?.into_iter().collect();
        fixed.insert(builtin::FIXED.to_owned());
        let soft = builtin::replaceable().map(str::to_owned).collect();
        Ok(LuaBackend { vm, given: Given { fixed, soft }, console: Console::default() })
    }
}

impl LuaBackend {
    /// A backend on a VM of the embedder's own; see [`LuaBackendBuilder::lua`].
    ///
    /// # Errors
    /// The VM has no memory left.
    pub fn new(lua: Lua) -> mlua::Result<Self> {
        Self::builder().lua(lua).build()
    }

    /// Begins to build a backend.
    pub fn builder() -> LuaBackendBuilder {
        LuaBackendBuilder::default()
    }

    /// The live VM. What is changed in it from outside is in no transaction. From an observer of events call
    /// scripts through the engine or a handle instead: while top levels are staged, the globals of the new code may
    /// be in.
    pub fn lua(&self) -> &Lua {
        &self.vm.lua
    }

    /// A handle to an export that is called with Rust's own types, as fast as the function itself. It follows
    /// the live generation.
    pub fn function<A, R>(&self, module: &str, export: &str) -> LuaFunction<A, R> {
        LuaFunction::new(&self.vm, module, export)
    }

    /// How long reloads have kept others out of the VM so far.
    pub fn pauses(&self) -> Pauses {
        self.vm.paused.so_far()
    }

    /// Whether a loop that LuaJIT compiled can be stopped; it can if LuaJIT was built with
    /// `LUAJIT_ENABLE_CHECKHOOK`, and plain Lua compiles nothing. Where it is false, code that spins is
    /// stopped only as long as it was not compiled.
    pub fn interrupts_compiled_loops(&self) -> bool {
        static PROBED: OnceLock<bool> = OnceLock::new();
        *PROBED.get_or_init(interrupt::interrupts_compiled_loops)
    }
}

#[async_trait]
impl Backend for LuaBackend {
    fn name(&self) -> &str {
        "lua"
    }

    fn extensions(&self) -> &[&str] {
        &["lua"]
    }

    fn attach(&self, world: &Arc<World>, control: Weak<dyn Control>) {
        self.vm.attach(world, control);
    }

    fn cancelling(&self) {
        self.vm.turns.watch();
    }

    fn kept(&self) -> Option<Kept> {
        let (lease, lasts) = self.vm.turns.hog(Duration::ZERO)?;
        Some(Kept { by: lease.map(|lease| (lease.kind(), lease.root().clone())), lasts })
    }

    fn compile(&self, source: &Source) -> Result<Compiled, ScriptError> {
        compile::compile(source, &self.given)
    }

    fn compile_all(&self, sources: &[Source]) -> Vec<Result<Compiled, ScriptError>> {
        parse_on_threads(sources, |source| self.compile(source))
    }

    fn begin(&self, cx: TxnCx) -> Box<dyn Txn> {
        Box::new(LuaTxn::begin(&self.vm, cx))
    }

    async fn evaluate(&self, line: &str, limit: Duration) -> Result<Vec<String>, CallError> {
        self.console.evaluate(&self.vm, line, limit).await
    }
}
