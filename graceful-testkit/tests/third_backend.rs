//! A backend as somebody in another repository would write one: a language of settings, with nothing but what
//! every backend must have, run through the suite with the capabilities it has.
//!
//! ```text
//! require base
//! note loaded
//! limit = 5
//! fn greeting = "hello"
//! fn page = [base.title, base:limit]
//! ```

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use graceful_core::error::ScriptErrorKind;
use graceful_core::{
    Backend, CallError, Checkpoint, Compiled, Control, Export, HookError, Instance, Lifecycle, Manifest,
    Module, Place, Require, Resolved, ScriptError, Source, StageCx, Txn, TxnCx, Value, World, dispatch,
};
use graceful_testkit::op::{Expr, Op};
use graceful_testkit::{Capabilities, Dialect, Script, Subject};

type Host = Arc<OnceLock<Weak<World>>>;

#[derive(Clone, Default)]
struct Page {
    requires: Vec<(String, u32)>,
    notes: Vec<String>,
    fails: Option<(String, u32)>,
    values: BTreeMap<String, Value>,
    functions: BTreeMap<String, String>,
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn parse(source: &Source) -> Result<Page, ScriptError> {
    let mut page = Page::default();
    let text = String::from_utf8_lossy(&source.text);
    for (line, text) in (1..).zip(text.lines()) {
        match text.split_once(' ') {
            Some(("require", name)) => page.requires.push((name.to_owned(), line)),
            Some(("note", said)) => page.notes.push(said.to_owned()),
            Some(("fail", message)) => page.fails = Some((message.to_owned(), line)),
            Some(("#", _)) => {}
            _ => match (text.split_once(" = "), text.strip_prefix("fn ")) {
                (Some((name, body)), None) => drop(page.values.insert(name.to_owned(), value(body))),
                (Some((name, body)), Some(_)) => {
                    drop(page.functions.insert(name[3..].to_owned(), body.to_owned()))
                }
                (None, _) => {
                    let error = ScriptError::new(ScriptErrorKind::Syntax, "neither a setting nor a word");
                    return Err(error.at(Place::new(&source.origin, line, 1)).with_source(&source.text));
                }
            },
        }
    }
    Ok(page)
}

#[derive(Default)]
struct Settings {
    world: Host,
}

impl Backend for Settings {
    fn name(&self) -> &str {
        "settings"
    }
    fn extensions(&self) -> &[&str] {
        &["settings"]
    }
    fn attach(&self, world: &Arc<World>, _: Weak<dyn Control>) {
        let _ = self.world.set(Arc::downgrade(world));
    }
    fn compile(&self, source: &Source) -> Result<Compiled, ScriptError> {
        let page = parse(source)?;
        let requires = page.requires.iter().map(|(name, line)| Require {
            name: name.as_str().into(),
            place: Place { file: source.origin.clone(), line: Some(*line), column: None },
            deferred: false,
        });
        Ok(Compiled::new(requires.collect(), Arc::new(page)))
    }
    fn begin(&self, _: TxnCx) -> Box<dyn Txn> {
        Box::new(Part { world: self.world.clone() })
    }
}

struct Part {
    world: Host,
}

#[async_trait]
impl Txn for Part {
    async fn stage(&self, cx: StageCx) -> Result<Arc<dyn Module>, ScriptError> {
        let page = cx.compiled.artifact.clone().downcast::<Page>().expect("compiled here");
        let functions = page.functions.keys().map(|name| (name.clone(), Export::Function));
        let values = page.values.iter().map(|(name, value)| (name.clone(), Export::Value(value.clone())));
        let manifest = Manifest {
            exports: functions.chain(values).collect(),
            ..Manifest::plain(cx.source.name.clone())
        };
        let (world, instance) = (self.world.clone(), Arc::downgrade(&cx.instance));
        let module = Loaded { manifest, page, world, instance };
        for note in &module.page.notes {
            let said = vec![note.as_str().into()];
            module.outside("probe", "note", said).await.map_err(|e| ScriptError::runtime(e.to_string()))?;
        }
        match &module.page.fails {
            Some((message, line)) => {
                let place = Place { file: cx.source.origin.clone(), line: Some(*line), column: None };
                Err(ScriptError::runtime(message.as_str()).at(place))
            }
            None => Ok(Arc::new(module)),
        }
    }
    fn commit(&self, swap: &mut dyn FnMut()) {
        swap();
    }
    fn rollback(&self) {}
}

struct Loaded {
    manifest: Manifest,
    page: Arc<Page>,
    world: Host,
    instance: Weak<Instance>,
}

impl Lifecycle for Loaded {}

impl Loaded {
    fn require(&self, module: &str) -> Result<(Arc<World>, Arc<Instance>), CallError> {
        let world = self.world.get().and_then(Weak::upgrade).ok_or(CallError::Stopped)?;
        let from = self.instance.upgrade().ok_or(CallError::Stopped)?;
        match world.resolve(&from, &module.into(), || None) {
            Resolved::Settled(found) | Resolved::Pinned(found) => Ok((world, found)),
            Resolved::Closing => Err(CallError::Suspended { module: module.into() }),
            Resolved::Pending | Resolved::Absent => Err(CallError::NoModule { module: module.into() }),
        }
    }

    async fn outside(&self, module: &str, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        let (world, found) = self.require(module)?;
        dispatch::call(&world, &found, function, args).await
    }

    async fn word(&self, word: &str) -> Result<Value, CallError> {
        if let Some((module, function)) = word.split_once('.') {
            return self.outside(module, function, Vec::new()).await;
        }
        if let Some((module, name)) = word.split_once(':') {
            let (_, found) = self.require(module)?;
            return Ok(match found.module().and_then(|module| module.manifest().exports.get(name)) {
                Some(Export::Value(value)) => value.clone(),
                _ => Value::Null,
            });
        }
        Ok(value(word))
    }
}

#[async_trait]
impl Module for Loaded {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    async fn call(&self, function: &str, _: Vec<Value>) -> Result<Value, CallError> {
        let Some(body) = self.page.functions.get(function) else {
            let module = self.manifest.name.to_string();
            return Err(CallError::NoExport { module, export: function.into(), generation: 0 });
        };
        let Some(words) = body.strip_prefix('[').and_then(|body| body.strip_suffix(']')) else {
            return self.word(body).await;
        };
        let mut values = Vec::new();
        for word in words.split(", ") {
            values.push(self.word(word).await?);
        }
        Ok(values.into())
    }
    async fn checkpoint(&self) -> Result<Checkpoint, HookError> {
        Ok(Box::new(()))
    }
    async fn restore(&self, _: &Checkpoint) -> Result<(), HookError> {
        Ok(())
    }
}

// From here on: what its author writes to run the suite.

struct AsSettings;

impl Dialect for AsSettings {
    fn backend(&self) -> &str {
        "settings"
    }
    fn extension(&self) -> &str {
        "settings"
    }
    fn render(&self, script: &Script) -> String {
        let mut lines: Vec<String> = script.comment.iter().map(|comment| format!("# {comment}")).collect();
        lines.extend(script.requires.iter().map(|name| format!("require {name}")));
        if script.uses_probe() {
            lines.push("require probe".into());
        }
        lines.extend(script.top.iter().map(|op| match op {
            Op::Note(Expr::Lit(Value::Str(said))) => format!("note {said}"),
            Op::Throw { message } => format!("fail {message}"),
            other => panic!("beyond its capabilities: {other:?}"),
        }));
        lines.extend(
            script.values.iter().map(|(name, value)| format!("{name} = {}", word(&Expr::Lit(value.clone())))),
        );
        for (name, ops) in &script.functions {
            // A function is one expression: what a test calls returns and does nothing else.
            let returned =
                ops.iter().find_map(|op| if let Op::Return(value) = op { Some(word(value)) } else { None });
            lines.push(format!("fn {name} = {}", returned.unwrap_or("null".into())));
        }
        if script.broken {
            lines.push("???".into());
        }
        lines.join("\n")
    }
}

fn word(value: &Expr) -> String {
    match value {
        Expr::Lit(value) => serde_json::to_string(value).unwrap_or_default(),
        Expr::Call { module, function, .. } => format!("{module}.{function}"),
        Expr::Export { module, name } => format!("{module}:{name}"),
        Expr::List(parts) => format!("[{}]", parts.iter().map(word).collect::<Vec<_>>().join(", ")),
        _ => "null".into(),
    }
}

struct SettingsSubject;

impl Subject for SettingsSubject {
    fn backend() -> Arc<dyn Backend> {
        Arc::new(Settings::default())
    }
    fn dialect() -> &'static dyn Dialect {
        &AsSettings
    }
    fn capabilities() -> Capabilities {
        Capabilities { plain: true, texts: true, syntax: true, ..Capabilities::NONE }
    }
}

graceful_testkit::conformance!(SettingsSubject);
