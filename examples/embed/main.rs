//! Embeds the engine in a Rust program: a store written in Rust with hooks of its own, a Lua module that requires
//! it, and one reload of both.
//!
//! `cargo run -p graceful-host --example embed`

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use graceful_core::source::SourceError;
use graceful_core::{
    Engine, Found, HookCx, HookError, Hooks, Lifecycle, Name, Native, NativeCx, ReloadOptions, ScriptError,
    Source, Sources, Value,
};
use graceful_host::TokioClock;
use graceful_lua::LuaBackend;

/// Where this program keeps its Lua: texts by name. Files would do as well (`graceful_host::DirSources`).
#[derive(Default)]
struct Texts(Mutex<BTreeMap<Name, &'static str>>);

impl Texts {
    fn set(&self, name: &str, text: &'static str) {
        self.0.lock().unwrap().insert(name.into(), text);
    }
}

impl Sources for Texts {
    fn find(&self, name: &Name) -> Result<Found, SourceError> {
        Ok(match self.0.lock().unwrap().get(name) {
            Some(text) => {
                Found::Source(Source::new(name.clone(), "lua", format!("{name}.lua"), text.as_bytes()))
            }
            None => Found::Missing { searched: vec!["this program's texts".into()] },
        })
    }
}

/// The store's hooks. Its state is a map that every version shares.
struct StoreHooks(NativeCx);

#[async_trait::async_trait]
impl Lifecycle for StoreHooks {
    async fn init(&self, _: &HookCx) -> Result<(), HookError> {
        self.0.state.set("orders", 0);
        Ok(())
    }

    async fn before_reload(&self, cx: &HookCx) -> Result<(), HookError> {
        println!("  {}: before_reload in generation {}", cx.module, cx.generation);
        Ok(())
    }

    async fn after_reload(&self, cx: &HookCx) -> Result<(), HookError> {
        println!("  {}: after_reload in generation {}, the orders are still there", cx.module, cx.generation);
        Ok(())
    }

    async fn finalize(&self, cx: &HookCx) -> Result<(), HookError> {
        println!("  {}: finalize, {:?} orders", cx.module, self.0.state.get("orders"));
        Ok(())
    }
}

/// The store's top level, by version: each order counts `step`.
fn store(
    version: &'static str,
    step: i64,
) -> impl Fn(&NativeCx) -> Result<Native, ScriptError> + Send + Sync {
    move |cx| {
        let state = cx.state.clone();
        let hooks =
            Hooks { init: true, before_reload: true, after_reload: true, finalize: true, ..Hooks::default() };
        let order = move |_: Vec<Value>| {
            Ok(state.update("orders", |orders| Value::Int(orders.as_int().unwrap_or_default() + step)))
        };
        Ok(Native::new(version).function("order", order).lifecycle(hooks, StoreHooks(cx.clone())))
    }
}

const DESK: &str = "
    local store = require('store')
    local M = {}
    function M.order(item) return item .. ' is order ' .. store.order() end
    return M
";

const POLITE_DESK: &str = "
    local store = require('store')
    local M = {}
    function M.order(item) return 'Thank you: ' .. item .. ' is order ' .. store.order() end
    return M
";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let texts = Arc::new(Texts::default());
    texts.set("desk", DESK);
    let engine = Engine::builder(Arc::new(TokioClock::new()))
        .backend(Arc::new(LuaBackend::builder().build()?))
        .sources(texts.clone())
        .native("store", &[], store("1.0.0", 1))
        .entry("desk")
        .build();

    let started = engine.reload(ReloadOptions::default()).await?;
    println!("generation {}", started.generation);
    let desk = engine.handle("desk", "order");
    println!("{}", said(desk.call(vec!["tea".into()]).await?));

    // An edit of both: the next reload makes them live together, or neither.
    engine.natives().set("store", &[], store("2.0.0", 10));
    texts.set("desk", POLITE_DESK);
    let reloaded = engine.reload(ReloadOptions::default()).await?;
    for module in &reloaded.modules {
        println!("  {}: {}", module.module, module.reason);
    }
    println!("generation {}", reloaded.generation);
    println!("{}", said(desk.call(vec!["tea".into()]).await?));

    // A broken edit changes nothing.
    texts.set("desk", "local store = require('store') return {");
    let refused = engine.reload(ReloadOptions::default()).await.expect_err("it does not parse");
    println!("{}: {}", refused.code(), refused.kind);
    println!("{}", said(desk.call(vec!["cup".into()]).await?));

    assert_eq!(said(desk.call(vec!["cup".into()]).await?), "Thank you: cup is order 31");
    Ok(())
}

fn said(value: Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
