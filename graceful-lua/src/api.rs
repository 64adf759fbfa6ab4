//! `require('graceful')`: what scripts ask of the engine.

use std::collections::BTreeSet;
use std::sync::Arc;

use graceful_core::{
    Control, DrainPolicy, Lease, LeaseKind, Name, OnBusy, ReloadError, ReloadOptions, Report, World,
};
use mlua::serde::SerializeOptions;
use mlua::{Function, Lua, LuaSerdeExt, Table, Value};
use serde::Serialize;

use crate::ground::coroutine;
use crate::record::Record;
use crate::vm::Vm;
use crate::{own, register, semver};

/// The module as `record` sees it.
pub(crate) fn table(lua: &Lua, record: &Arc<Record>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("register_module", register::function(lua, record)?)?;
    table.raw_set("own", own::function(lua, record)?)?;
    let shared: Table = match lua.named_registry_value("graceful.api") {
        Ok(shared) => shared,
        Err(_) => {
            let shared = shared(lua, &record.vm()?)?;
            lua.set_named_registry_value("graceful.api", &shared)?;
            shared
        }
    };
    for entry in shared.pairs::<Value, Value>() {
        let (name, function) = entry?;
        table.raw_set(name, function)?;
    }
    Ok(table)
}

fn shared(lua: &Lua, vm: &Arc<Vm>) -> mlua::Result<Table> {
    let situation = lua.create_function(|_, ()| {
        Ok(match Lease::current().map(|lease| lease.kind()) {
            Some(LeaseKind::Stage) => "stage",
            Some(LeaseKind::Hook) => "hook",
            _ if Lease::current().is_some_and(|lease| lease.is_transactional()) => "hook",
            _ => "call",
        })
    })?;
    let weak = Arc::downgrade(vm);
    let reload = lua.create_async_function(move |lua, opts: Option<Table>| {
        let asked = options(opts.as_ref()).and_then(|options| Ok((engine(weak.upgrade())?, options)));
        async move {
            let ((control, world), options) = asked?;
            answer(&lua, detached(control, world, options).await)
        }
    })?;
    let weak = Arc::downgrade(vm);
    let queue = lua.create_function(move |_, opts: Option<Table>| {
        let options = options(opts.as_ref())?;
        let (control, world) = engine(weak.upgrade())?;
        let reload = control.reload(options);
        world.clock.spawn(Box::pin(async move {
            let _ = reload.await;
        }));
        Ok(())
    })?;
    let weak = Arc::downgrade(vm);
    let plan = lua.create_async_function(move |lua, opts: Option<Table>| {
        let asked = options(opts.as_ref()).and_then(|options| Ok((engine(weak.upgrade())?.0, options)));
        async move {
            let (control, options) = asked?;
            answer(&lua, control.plan(options).await)
        }
    })?;
    let weak = Arc::downgrade(vm);
    let unregister = lua.create_async_function(move |lua, (name, opts): (String, Option<Table>)| {
        let asked = force(opts.as_ref()).and_then(|force| Ok((engine(weak.upgrade())?, force)));
        async move {
            let ((control, world), force) = asked?;
            let (remove, changed) = (BTreeSet::from([Name::from(name)]), Some(BTreeSet::new()));
            let options = ReloadOptions { remove, changed, force, ..ReloadOptions::default() };
            answer(&lua, detached(control, world, options).await)
        }
    })?;
    let isyieldable: Function = coroutine(lua)?.raw_get("isyieldable")?;
    let chunk = lua.load(include_str!("lua/api.lua")).set_name("=graceful");
    let api: Table = chunk.call((situation, reload, queue, plan, unregister, isyieldable))?;
    api.raw_set("semver", lua.create_function(semver::make)?)?;
    Ok(api)
}

type Asked = (Arc<dyn Control>, Arc<World>);

fn engine(vm: Option<Arc<Vm>>) -> mlua::Result<Asked> {
    let found = vm.and_then(|vm| Some((vm.control()?, vm.world()?)));
    found.ok_or_else(|| mlua::Error::external(graceful_core::CallError::Stopped))
}

/// Runs a reload in a task of its own. The caller is parked: its own reload does not wait for it.
async fn detached(
    control: Arc<dyn Control>,
    world: Arc<World>,
    options: ReloadOptions,
) -> Result<Report, ReloadError> {
    let lease = Lease::current();
    if let Some(lease) = &lease {
        lease.set_parked(true);
    }
    let (done, ended) = tokio::sync::oneshot::channel();
    let reload = control.reload(options);
    world.clock.spawn(Box::pin(async move {
        let _ = done.send(reload.await);
    }));
    let result = match ended.await {
        Ok(result) => result,
        Err(_) => std::future::pending().await,
    };
    if let Some(lease) = &lease {
        lease.set_parked(false);
    }
    result
}

#[derive(Serialize)]
struct Failure {
    code: String,
    message: String,
    phase: &'static str,
    module: Option<String>,
    stuck: bool,
    retryable: bool,
}

fn answer(lua: &Lua, result: Result<impl Serialize, ReloadError>) -> mlua::Result<(Value, Value)> {
    let plain = SerializeOptions::new().serialize_none_to_null(false).set_array_metatable(false);
    match result {
        Ok(result) => Ok((lua.to_value_with(&result, plain)?, Value::Nil)),
        Err(error) => {
            let failure = Failure {
                code: error.code().to_string(),
                message: error.kind.to_string(),
                phase: error.phase.as_str(),
                module: error.module().map(Name::to_string),
                stuck: error.is_stuck(),
                retryable: error.is_retryable(),
            };
            Ok((Value::Nil, lua.to_value_with(&failure, plain)?))
        }
    }
}

fn force(opts: Option<&Table>) -> mlua::Result<bool> {
    Ok(opts.map(|opts| opts.raw_get::<Option<bool>>("force")).transpose()?.flatten().unwrap_or(false))
}

/// A second caller joins the reload that runs.
fn options(opts: Option<&Table>) -> mlua::Result<ReloadOptions> {
    let mut options =
        ReloadOptions { on_busy: OnBusy::Join, force: force(opts)?, ..ReloadOptions::default() };
    let Some(opts) = opts else { return Ok(options) };
    for entry in opts.pairs::<String, Value>() {
        let (key, value) = entry?;
        let text = value.as_string().map(|text| text.to_string_lossy());
        match (key.as_str(), text.as_deref()) {
            ("force", _) => {}
            ("busy", Some("join")) => options.on_busy = OnBusy::Join,
            ("busy", Some("wait")) => options.on_busy = OnBusy::Wait,
            ("busy", Some("refuse")) => options.on_busy = OnBusy::Refuse,
            ("drain", Some("abort")) => options.drain = DrainPolicy::Abort,
            ("drain", Some("cancel")) => options.drain = DrainPolicy::Cancel,
            ("changed", _) => {
                let names: Vec<String> = mlua::FromLua::from_lua(value, &opts.weak_lua().upgrade())?;
                options.changed = Some(names.into_iter().map(Name::from).collect());
            }
            _ => return Err(mlua::Error::runtime(format!("reload: unknown option or value for `{key}`"))),
        }
    }
    Ok(options)
}
