//! Roles in Lua, Rhai and Rust in one dependency graph.

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::AppDir;
use graceful_core::instance::ApplyOptions;
use graceful_core::lifecycle::HookResult;
use graceful_core::{Config, HookError, InstanceState, Native, Role, RoleCx, Value};
use graceful_host::{HostOptions, Running};

const MANIFEST: &str = "name = 'mixed'\nentry = ['main']\n";

/// web (Lua) on store (Rhai) on disk (Rust), and over all of them audit (Rust).
const WEB: &str = "local notes = require 'notes'
return {
    dependencies = { 'store' },
    init = function(opts) notes.say('init web ' .. tostring(opts.is_master)) end,
    validate_config = function(new) notes.say('validate web') return true end,
    apply_config = function(conf) notes.seen('web', conf) notes.say('apply web') end,
    stop = function() notes.say('stop web') end,
    page = function() return require('graceful.roles').service_get('store').read('k') end,
}";

const STORE: &str = r#"
import "notes" as notes;
export const dependencies = ["disk"];
fn init(opts) { notes::say(`init store ${opts.is_master}`); }
fn validate_config(conf, old) { notes::say("validate store"); true }
fn apply_config(conf, opts) { notes::seen("store", conf); notes::say("apply store"); }
fn stop() { notes::say("stop store"); }
fn read(key) { graceful::roles::service_get("disk").sector(key) }
"#;

#[derive(Clone, Default)]
struct Notes {
    said: Arc<Mutex<Vec<String>>>,
    seen: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl Notes {
    fn say(&self, text: String) {
        self.said.lock().unwrap().push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock().unwrap())
    }
}

/// A role in Rust, which fails to start if it is told to.
struct Noted {
    name: &'static str,
    dependencies: &'static [&'static str],
    notes: Notes,
    fails: Arc<Mutex<bool>>,
}

#[async_trait]
impl Role for Noted {
    fn dependencies(&self) -> &[&str] {
        self.dependencies
    }

    async fn init(&self, cx: &RoleCx) -> HookResult {
        self.notes.say(format!("init {} {}", self.name, cx.is_master()));
        if *self.fails.lock().unwrap() { Err(HookError::new("no disk")) } else { Ok(()) }
    }

    async fn validate_config(&self, _new: &Value, _old: &Value) -> HookResult {
        self.notes.say(format!("validate {}", self.name));
        Ok(())
    }

    async fn apply_config(&self, conf: &Value, _cx: &RoleCx) -> HookResult {
        self.notes.seen.lock().unwrap().insert(self.name.to_owned(), conf.clone());
        self.notes.say(format!("apply {}", self.name));
        Ok(())
    }

    async fn stop(&self, _cx: &RoleCx) -> HookResult {
        self.notes.say(format!("stop {}", self.name));
        Ok(())
    }
}

struct Mixed {
    dir: AppDir,
    running: Running,
    notes: Notes,
    fails: Arc<Mutex<bool>>,
}

impl Mixed {
    async fn start() -> Self {
        // What is loaded before the roles is not reloaded with them.
        let dir = AppDir::new(&[
            ("graceful.toml", MANIFEST),
            ("main.lua", "require 'notes' return {}"),
            ("web.lua", WEB),
            ("store.rhai", STORE),
        ]);
        let (notes, fails) = (Notes::default(), Arc::<Mutex<bool>>::default());
        let role = |options: HostOptions, name: &'static str, dependencies: &'static [&'static str]| {
            let (notes, fails) = (notes.clone(), fails.clone());
            let fails = if name == "audit" { fails } else { Default::default() };
            options.native(name, &[], move |_| {
                let role = Noted { name, dependencies, notes: notes.clone(), fails: fails.clone() };
                let sector = |args: Vec<Value>| {
                    Ok(format!("sector of {}", args[0].as_str().unwrap_or_default()).into())
                };
                Ok(Native::plain().role(role).function("sector", sector))
            })
        };
        let options = role(role(dir.options(), "disk", &[]), "audit", &["web"]);
        let kept = notes.clone();
        let options = options.native("notes", &[], move |_| {
            let (said, seen) = (kept.clone(), kept.clone());
            let say = move |args: Vec<Value>| {
                said.say(args[0].as_str().unwrap_or("?").to_owned());
                Ok(Value::Null)
            };
            let seen = move |args: Vec<Value>| {
                let name = args[0].as_str().unwrap_or("?").to_owned();
                seen.seen.lock().unwrap().insert(name, args[1].clone());
                Ok(Value::Null)
            };
            Ok(Native::plain().function("say", say).function("seen", seen))
        });
        let running = dir.start(options).await;
        running.host().engine().roles().set_reload_allowed(true);
        Self { dir, running, notes, fails }
    }

    async fn cfg_and_apply(&self, document: Value) {
        let roles = self.running.host().engine().roles();
        roles.cfg(["audit"]).await.unwrap();
        assert_eq!(roles.get_all_roles(), ["disk", "store", "web", "audit"]);
        let options = ApplyOptions { enabled: Some(["audit"].into()), ..ApplyOptions::default() };
        roles.configure(Config::new(document).unwrap(), options.master(true)).await.unwrap();
    }
}

fn document() -> Value {
    let map = |entries: &[(&str, Value)]| {
        Value::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    };
    let hosts = Value::List(vec!["a".into(), map(&[("port", 80.into())]), 2.into()]);
    let web =
        map(&[("hosts", hosts), ("share", Value::Float(0.5)), ("on", true.into()), ("name", "ü".into())]);
    map(&[("web", web), ("none", Value::List(Vec::new())), ("text", "t".into())])
}

const VALIDATED: [&str; 4] = ["validate disk", "validate store", "validate web", "validate audit"];
const STARTED: [&str; 8] = [
    "init disk true",
    "apply disk",
    "init store true",
    "apply store",
    "init web true",
    "apply web",
    "init audit true",
    "apply audit",
];
const STOPPED: [&str; 4] = ["stop audit", "stop web", "stop store", "stop disk"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_07_roles_of_three_languages_start_reload_and_stop_in_one_order() {
    let mixed = Mixed::start().await;
    mixed.cfg_and_apply(document()).await;
    assert_eq!(mixed.notes.take(), [&VALIDATED[..], &STARTED].concat());
    let engine = mixed.running.host().engine();
    assert_eq!(engine.call("web", "page", Vec::new()).await.unwrap(), "sector of k".into());
    mixed.dir.edit(
        "store.rhai",
        "service_get(\"disk\").sector(key)",
        "service_get(\"disk\").sector(key + key)",
    );
    engine.roles().reload().await.unwrap();
    assert_eq!(mixed.notes.take(), [&VALIDATED[..], &STOPPED, &STARTED].concat());
    assert_eq!(engine.call("web", "page", Vec::new()).await.unwrap(), "sector of kk".into());
    engine.roles().stop().await.unwrap();
    assert_eq!(mixed.notes.take(), STOPPED);
    assert!(mixed.running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cfg_05_every_language_sees_the_same_configuration() {
    let mixed = Mixed::start().await;
    mixed.cfg_and_apply(document()).await;
    let seen = mixed.notes.seen.lock().unwrap().clone();
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["audit", "disk", "store", "web"]);
    for (role, seen) in seen {
        assert_eq!(seen, document(), "{role}");
    }
    assert!(mixed.running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_07_a_failure_in_one_language_brings_the_others_back() {
    let mixed = Mixed::start().await;
    mixed.cfg_and_apply(Value::Null).await;
    mixed.notes.take();
    *mixed.fails.lock().unwrap() = true;
    let roles = mixed.running.host().engine().roles();
    let restored = mixed.fails.clone();
    let error = roles.reload().await.unwrap_err();
    assert_eq!(error.module().unwrap().as_str(), "audit");
    *restored.lock().unwrap() = false;
    let new = [&STARTED[..7]].concat();
    let told = mixed.notes.take();
    assert_eq!(told[..15], [&VALIDATED[..], &STOPPED, &new].concat()[..]);
    assert_eq!(told[15..22], STARTED[..7], "the previous ones start again");
    assert!(matches!(roles.state(), InstanceState::ReloadError | InstanceState::Stuck), "{}", roles.state());
    roles.reload().await.unwrap();
    assert_eq!(roles.state(), InstanceState::RolesConfigured);
    assert_eq!(roles.running(), ["disk", "store", "web", "audit"]);
    assert!(mixed.running.stop().await);
}
