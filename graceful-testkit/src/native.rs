//! Scripts as native modules: the promises about hooks and rollback, kept for modules written in Rust.

use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use futures_util::FutureExt;
use graceful_core::error::ScriptErrorKind;
use graceful_core::lifecycle::HookResult;
use graceful_core::native::{Entries, NATIVE, State};
use graceful_core::{
    Backend, Export, HookCx, Lifecycle, Native, NativeCx, NativeMigration, ScriptError, Value,
};

use crate::dialect::Dialect;
use crate::fake::{Body, FakeBackend, FakeRoute, Program, Room, StepText, Store, Vm, failed, parse, plain};
use crate::script::Script;
use crate::subject::{Capabilities, Shelf, Subject};

/// Scripts as native modules.
pub struct NativeSubject;

struct AsNative;

impl Dialect for AsNative {
    fn backend(&self) -> &str {
        NATIVE
    }

    fn extension(&self) -> &str {
        "rs"
    }

    fn render(&self, script: &Script) -> String {
        crate::fake::render(script)
    }
}

impl Subject for NativeSubject {
    /// Every engine has the native backend; this one stands beside it and is not used.
    fn backend() -> Arc<dyn Backend> {
        FakeBackend::named("beside")
    }

    fn dialect() -> &'static dyn Dialect {
        &AsNative
    }

    /// The source of a native module is a closure that cannot wait: it has no text that could be wrong, says
    /// what it requires beforehand, and its registration is what it returns. Its state is plain data, copied.
    fn capabilities() -> Capabilities {
        Capabilities {
            registers: true,
            hooks: true,
            migrates: true,
            plain: true,
            tasks: true,
            owns: true,
            routes: true,
            waits: true,
            reloads: true,
            unregisters: true,
            dynamic: true,
            stops_loops: true,
            catches: true,
            ..Capabilities::NONE
        }
    }

    fn origin(module: &str) -> String {
        format!("native:{module}")
    }

    fn write(script: &Script, shelf: &Shelf) {
        let text = AsNative.render(script);
        let program =
            Arc::new(parse(&text, &Self::origin(&script.name)).expect("what was rendered can be read"));
        let requires: Vec<String> = program.requires.iter().map(|(name, _)| name.clone()).collect();
        let requires: Vec<&str> = requires.iter().map(String::as_str).collect();
        shelf.natives.set(script.name.as_str(), &requires, move |cx| top_level(cx, &program));
    }
}

fn top_level(cx: &NativeCx, program: &Arc<Program>) -> Result<Native, ScriptError> {
    let vm = Vm::named(NATIVE);
    vm.attach(&cx.world().map_err(failed)?, Arc::downgrade(&cx.control().map_err(failed)?));
    let room = Arc::new(Room {
        vm,
        name: cx.instance.name.clone(),
        origin: cx.instance.source.origin.clone(),
        instance: Arc::downgrade(&cx.instance),
        store: Store::Native(cx.state.clone()),
        program: program.clone(),
        version: OnceLock::new(),
        bound: Mutex::default(),
        args: Vec::new(),
        importer: Mutex::default(),
    });
    let manifest = room.manifest()?;
    for (key, body) in &program.routes {
        let route = Arc::new(FakeRoute { room: room.clone(), body: body.clone() });
        cx.instance.scope.register("route", key, route)?;
    }
    let ran = room.run_body(&program.top).now_or_never();
    ran.unwrap_or_else(|| Err(ScriptError::new(ScriptErrorKind::Runtime, "a native top level cannot wait")))?;
    let mut native = match (&manifest.version, manifest.registered) {
        (Some(version), _) => Native::new(version.to_string()),
        (None, true) => Native::new("0.0.0"),
        (None, false) => Native::plain(),
    };
    for (name, export) in &manifest.exports {
        native = match export {
            Export::Value(value) => native.value(name, value.clone()),
            Export::Function => exported(native, &room, name),
        };
    }
    for step in &program.migrations {
        native = native.migration(migration(step, &room));
    }
    native = native.checkpoint(manifest.checkpoint).lifecycle(manifest.hooks, Scripted(room));
    Ok(if manifest.drain { native.drain() } else { native })
}

fn exported(native: Native, room: &Arc<Room>, name: &str) -> Native {
    let (room, function) = (room.clone(), name.to_owned());
    native.async_function(name, move |args: Vec<Value>| {
        let (room, function) = (room.clone(), function.clone());
        async move {
            let room = if args.is_empty() { room } else { room.with(room.store.clone(), args) };
            let data = room.run_body(&room.program.functions[&function]).await?;
            plain(&room, data)
        }
    })
}

fn migration(step: &StepText, room: &Arc<Room>) -> NativeMigration {
    let mut native = NativeMigration::between(step.from.clone(), step.to.clone());
    let take = |body: &Body| {
        let (room, body) = (room.clone(), body.clone());
        move |entries: Entries| {
            let (state, body) = (Arc::new(State::default()), body.clone());
            entries.into_iter().for_each(|(key, value)| state.set(&key, value));
            let room = room.with(Store::Native(state.clone()), Vec::new());
            async move {
                match plain(&room, room.run_body(&body).await?).map_err(failed)? {
                    Value::Null => Ok(state.snapshot()),
                    Value::Map(entries) => Ok(entries),
                    other => {
                        Err(format!("a step returns the new state or nothing, got {}", other.kind()).into())
                    }
                }
            }
        }
    };
    if let Some(body) = &step.up {
        native = native.up_async(take(body));
    }
    if let Some(body) = &step.down {
        native = native.down_async(take(body));
    }
    if step.lossy { native.lossy() } else { native }
}

/// The hooks of a script as those of a native module.
struct Scripted(Arc<Room>);

#[async_trait]
impl Lifecycle for Scripted {
    async fn init(&self, cx: &HookCx) -> HookResult {
        self.0.hook(&["init"], cx).await
    }
    async fn before_reload(&self, cx: &HookCx) -> HookResult {
        self.0.hook(&["before_reload"], cx).await
    }
    async fn after_reload(&self, cx: &HookCx) -> HookResult {
        self.0.hook(&["after_reload", "on_reload"], cx).await
    }
    async fn rollback(&self, cx: &HookCx) -> HookResult {
        self.0.hook(&["rollback"], cx).await
    }
    async fn finalize(&self, cx: &HookCx) -> HookResult {
        self.0.hook(&["finalize"], cx).await
    }
}
