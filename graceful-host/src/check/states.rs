//! Recorded states: files named by module and version, sent up through the migrations and back down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use graceful_core::lifecycle::HookResult;
use graceful_core::round_trip::round_trip;
use graceful_core::{HookCx, Hooks, Lease, Lifecycle, Native, NativeCx, Value, Version, World};
use serde::{Deserialize, Serialize};

/// What came of one recorded state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateReply {
    /// The file's name.
    pub file: String,
    /// Whether nothing is wrong with it.
    pub ok: bool,
    /// What came of each step.
    pub steps: Vec<String>,
    /// Why it took none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl StateReply {
    fn wrong(file: &str, error: impl ToString) -> Self {
        Self { file: file.to_owned(), ok: false, steps: Vec::new(), error: Some(error.to_string()) }
    }
}

/// A state that was read: its file's name, whose it is, of which version, and itself.
struct Recorded {
    file: String,
    module: String,
    version: Version,
    state: Value,
}

/// The recorded states of a folder, and what came of each.
pub(super) struct States {
    recorded: Vec<Recorded>,
    replies: Mutex<BTreeMap<String, StateReply>>,
}

impl States {
    /// Reads `module@version.json` files; behind a second `@` any word tells several of one version apart.
    pub(super) fn read(folder: &Path) -> std::io::Result<Self> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let (mut recorded, mut replies) = (Vec::new(), BTreeMap::new());
        for path in files {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match one(&path, &file) {
                Ok(state) => recorded.push(state),
                Err(error) => drop(replies.insert(file.clone(), StateReply::wrong(&file, error))),
            }
        }
        Ok(Self { recorded, replies: Mutex::new(replies) })
    }

    /// What came of each, by file.
    pub(super) fn replies(&self) -> Vec<StateReply> {
        self.replies.lock().unwrap().values().cloned().collect()
    }

    /// A native module that is staged after all others, and takes the states on their way as it is initialised.
    pub(super) fn module(self: &Arc<Self>, cx: &NativeCx, budget: Duration) -> Native {
        let hooks = Hooks { init: true, ..Hooks::default() };
        let trips = Trips { states: self.clone(), world: cx.world().ok(), budget };
        Native::new("0.0.0").lifecycle(hooks, trips)
    }
}

fn one(path: &Path, file: &str) -> Result<Recorded, String> {
    let mut words = file.trim_end_matches(".json").split('@');
    let (Some(module), Some(version)) = (words.next(), words.next()) else {
        return Err("the name of a recorded state is `module@version.json`".into());
    };
    let version = Version::parse(version).map_err(|error| error.to_string())?;
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let state = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    Ok(Recorded { file: file.to_owned(), module: module.to_owned(), version, state })
}

struct Trips {
    states: Arc<States>,
    world: Option<Arc<World>>,
    budget: Duration,
}

#[async_trait]
impl Lifecycle for Trips {
    async fn init(&self, _: &HookCx) -> HookResult {
        let Some(world) = &self.world else { return Ok(()) };
        for recorded in &self.states.recorded {
            let reply = self.send(world, recorded).await;
            self.states.replies.lock().unwrap().insert(recorded.file.clone(), reply);
        }
        Ok(())
    }
}

impl Trips {
    async fn send(&self, world: &Arc<World>, recorded: &Recorded) -> StateReply {
        let Recorded { file, module, version, state } = recorded;
        let generation = Lease::current_generation().unwrap_or_default();
        let Some(instance) = world.instance_at(module.as_str(), generation) else {
            return StateReply::wrong(file, format!("no module `{module}` is loaded"));
        };
        match round_trip(world, &instance, version, state, self.budget).await {
            Err(error) => StateReply::wrong(file, error),
            Ok(trip) => StateReply {
                file: file.clone(),
                ok: trip.is_ok(),
                steps: trip.steps.iter().map(ToString::to_string).collect(),
                error: None,
            },
        }
    }
}
