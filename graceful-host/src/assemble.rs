//! The engine of an app: its languages, its sources, the host's own modules.

use std::path::Path;
use std::sync::Arc;

use graceful_core::{Backend, Engine};
use graceful_lua::LuaBackend;
use graceful_lua::mlua::StdLib;
use graceful_rhai::{RHAI, RhaiBackend, RhaiBuilder};

use crate::app::{App, BackendSettings};
use crate::clock::TokioClock;
use crate::host::HostError;
use crate::http::route::{ROUTE, same_route};
use crate::options::HostOptions;
use crate::roles::schema;
use crate::settings;
use crate::sources::DirSources;
use crate::topics::{EVENTS, Topics};

pub(crate) fn engine(
    root: &Path,
    app: &App,
    options: &HostOptions,
    topics: &Arc<Topics>,
    clock: &Arc<TokioClock>,
) -> Result<(Engine, DirSources), HostError> {
    let backends = backends(app)?;
    let sources = DirSources::new(root, backends.iter().map(|backend| &**backend));
    let mut builder = Engine::builder(clock.clone())
        .sources(Arc::new(sources.clone()))
        .limits(settings::limits(&app.reload))
        .identity(ROUTE, same_route)
        .config_schema(schema::fits)
        .native(EVENTS, &[], topics.module());
    for backend in backends {
        builder = builder.backend(backend);
    }
    for native in &options.natives {
        let requires: Vec<&str> = native.requires.iter().map(String::as_str).collect();
        let top_level = native.top_level.clone();
        builder = builder.native(&native.name, &requires, move |cx| top_level(cx));
    }
    for name in &app.entry {
        builder = builder.entry(name.clone());
    }
    let engine = builder.build();
    settings::set_config(&engine, app);
    settings::allow(&engine, app);
    Ok((engine, sources))
}

fn backends(app: &App) -> Result<Vec<Arc<dyn Backend>>, HostError> {
    let mut backends: Vec<Arc<dyn Backend>> = Vec::new();
    if let Some(language) = app.backends.get("lua") {
        backends.push(Arc::new(lua(language, app)?));
    }
    if app.backends.contains_key(RHAI) {
        backends.push(rhai(app));
    }
    Ok(backends)
}

fn lua(language: &BackendSettings, app: &App) -> Result<LuaBackend, HostError> {
    let mut builder = LuaBackend::builder().turn_limit(settings::turn(app));
    if let Some(names) = &language.libraries {
        builder = builder.libs(libraries(names)?);
    }
    if let Some(bytes) = app.limits.memory {
        builder = builder.memory_limit(bytes);
    }
    builder.build().map_err(|error| HostError::Setting(format!("cannot make the Lua VM: {error}")))
}

fn rhai(app: &App) -> Arc<dyn Backend> {
    let builder = RhaiBackend::builder().turn_limit(settings::turn(app));
    let memory = |bytes| graceful_rhai::Limits { memory: Some(bytes), ..Default::default() };
    app.limits.memory.map(memory).into_iter().fold(builder, RhaiBuilder::limits).build()
}

/// Lua's libraries by the names scripts know them under.
fn libraries(names: &[String]) -> Result<StdLib, HostError> {
    let known = [
        #[cfg(feature = "lua54")]
        ("coroutine", StdLib::COROUTINE),
        // A part of the base library there.
        #[cfg(feature = "luajit")]
        ("coroutine", StdLib::NONE),
        ("table", StdLib::TABLE),
        ("io", StdLib::IO),
        ("os", StdLib::OS),
        ("string", StdLib::STRING),
        ("math", StdLib::MATH),
        ("package", StdLib::PACKAGE),
        #[cfg(feature = "lua54")]
        ("utf8", StdLib::UTF8),
        #[cfg(feature = "luajit")]
        ("bit", StdLib::BIT),
        #[cfg(feature = "luajit")]
        ("jit", StdLib::JIT),
    ];
    names.iter().try_fold(StdLib::NONE, |libraries, name| {
        match known.iter().find(|(known, _)| known == name) {
            Some((_, library)) => Ok(libraries | *library),
            None => {
                let known = known.map(|(name, _)| name).join(", ");
                Err(HostError::Setting(format!(
                    "`backends.lua.libraries`: there is no `{name}`; there are {known}"
                )))
            }
        }
    })
}
