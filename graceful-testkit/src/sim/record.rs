//! What was live at every generation, as an observer of the engine sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use graceful_core::{Engine, Event, EventKind, Hook, Name, Observer, Value, World};

/// The tags of the live modules of one generation.
type Tags = BTreeMap<String, String>;

/// One reload: what was loaded live when it began, and the hooks that returned well.
#[derive(Default)]
struct Running {
    hooks: Vec<Name>,
}

/// What was live at every generation, and how many hooks counted.
pub struct Record {
    world: Weak<World>,
    generations: Mutex<BTreeMap<u64, Tags>>,
    running: Mutex<Running>,
    hooks: Mutex<BTreeMap<String, i64>>,
}

impl Record {
    /// A record of `engine`, to be subscribed to it.
    pub fn new(engine: &Engine) -> Arc<Self> {
        let world = Arc::downgrade(engine.world());
        let (generations, running, hooks) = Default::default();
        Arc::new(Self { world, generations, running, hooks })
    }

    /// How many reload hooks of `module` ran in reloads that committed.
    pub fn hooks_run(&self, module: &str) -> i64 {
        self.hooks.lock().unwrap().get(module).copied().unwrap_or_default()
    }

    /// Whether every tag in `value` belongs to one generation, not older than `live`.
    pub(super) fn one_generation(&self, value: &Value, live: u64) -> Result<(), String> {
        let mut seen = Vec::new();
        tags(value, &mut seen);
        let generations = self.generations.lock().unwrap();
        let fits = |tags: &Tags| seen.iter().all(|tag| tags.values().any(|known| known == tag));
        match generations.range(live..).any(|(_, tags)| fits(tags)) {
            true => Ok(()),
            false => Err(format!("{seen:?} belong to no one generation from {live} on: {generations:?}")),
        }
    }

    fn commit(&self, generation: u64) {
        let Some(world) = self.world.upgrade() else { return };
        let tag =
            |text: &[u8]| String::from_utf8_lossy(text).lines().next().unwrap_or_default()[2..].to_owned();
        let live = world.live_all().into_iter().filter(|live| live.source.text.starts_with(b"# "));
        let tags = live.map(|live| (live.name.to_string(), tag(&live.source.text)));
        self.generations.lock().unwrap().insert(generation, tags.collect());
        let mut counts = self.hooks.lock().unwrap();
        for module in std::mem::take(&mut self.running.lock().unwrap().hooks) {
            *counts.entry(module.to_string()).or_default() += 1;
        }
        // The state of a module that left went with it.
        counts.retain(|module, _| world.live(module).is_some());
    }
}

fn tags(value: &Value, seen: &mut Vec<String>) {
    match value {
        Value::Str(tag) => seen.push(tag.clone()),
        Value::List(parts) => parts.iter().for_each(|part| tags(part, seen)),
        _ => {}
    }
}

impl Observer for Record {
    fn on_event(&self, event: &Event) {
        match &event.kind {
            EventKind::ReloadStarted => self.running.lock().unwrap().hooks.clear(),
            EventKind::HookRan {
                module, hook: Hook::BeforeReload | Hook::AfterReload, error: None, ..
            } => {
                self.running.lock().unwrap().hooks.push(module.clone());
            }
            EventKind::Committed { generation } => self.commit(*generation),
            _ => {}
        }
    }
}
