//! The engine of an app: its languages, its sources, the host's own modules.

use std::path::Path;
use std::sync::Arc;

use graceful_core::{Backend, Engine};

use crate::app::App;
use crate::clock::TokioClock;
use crate::host::HostError;
use crate::options::HostOptions;
use crate::settings;
use crate::sources::DirSources;
use crate::topics::{EVENTS, Topics};

pub(crate) fn engine(
    root: &Path,
    app: &App,
    options: &HostOptions,
    topics: &Arc<Topics>,
) -> Result<(Engine, DirSources), HostError> {
    let backends = backends(app)?;
    let sources = DirSources::new(root, backends.iter().map(|backend| &**backend));
    let mut builder = Engine::builder(Arc::new(TokioClock::new()))
        .sources(Arc::new(sources.clone()))
        .limits(settings::limits(&app.reload))
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
    settings::set_config(&engine, &app.config);
    Ok((engine, sources))
}

fn backends(_app: &App) -> Result<Vec<Arc<dyn Backend>>, HostError> {
    Ok(Vec::new())
}
