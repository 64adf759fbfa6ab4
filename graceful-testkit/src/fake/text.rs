//! The fake language as text: one line an operation, so that errors have a line and a column.
//!
//! ```text
//! # a comment
//! require log
//! register hits {"version":"1.0.0"}
//! hook init
//!   {"set":{"key":"count","value":{"lit":0}}}
//! function hit
//!   {"inc":{"key":"count"}}
//!   {"return":{"state":"count"}}
//! value limit 5
//! step up ["1.0.0","2.0.0"]
//!   {"set":{"key":"count","value":{"lit":0}}}
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use graceful_core::Declared;
use graceful_core::error::ScriptErrorKind;
use graceful_core::{Migration, Migrations, Place, Require, ScriptError, Value, Version};

use crate::op::Op;
use crate::script::{Script, requires_in};
use crate::trace::PROBE;

/// A body of operations with the line of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    pub(crate) ops: Vec<Op>,
    pub(crate) lines: Vec<u32>,
}

/// One step of a migration.
#[derive(Clone, Debug)]
pub(crate) struct StepText {
    pub(crate) from: Value,
    pub(crate) to: Value,
    pub(crate) up: Option<Body>,
    pub(crate) down: Option<Body>,
    pub(crate) lossy: bool,
}

/// A parsed source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    pub(crate) requires: Vec<(String, u32)>,
    pub(crate) deferred: Vec<(String, u32)>,
    /// The name it registers, the options, and the line.
    pub(crate) register: Option<(String, BTreeMap<String, Value>, u32)>,
    /// Its options are computed, so that nobody knows them before it runs.
    pub(crate) computed: bool,
    pub(crate) hooks: BTreeMap<String, Body>,
    pub(crate) top: Body,
    pub(crate) functions: BTreeMap<String, Body>,
    /// Methods, by class and name.
    pub(crate) methods: BTreeMap<(String, String), Body>,
    pub(crate) values: BTreeMap<String, Value>,
    pub(crate) routes: BTreeMap<String, Body>,
    pub(crate) migrations: Vec<StepText>,
}

/// Writes `script`.
pub(crate) fn render(script: &Script) -> String {
    let mut out = String::new();
    if let Some(comment) = &script.comment {
        let _ = writeln!(out, "# {comment}");
    }
    let probe = script.uses_probe().then(|| PROBE.to_owned());
    script.requires.iter().chain(probe.iter()).for_each(|name| line(&mut out, "require", name, ""));
    script.deferred.iter().for_each(|name| line(&mut out, "defer", name, ""));
    if script.computed {
        let _ = writeln!(out, "computed");
    }
    if script.registered {
        let options = serde_json::to_string(&script.options).unwrap_or_default();
        line(&mut out, "register", script.registers_as.as_ref().unwrap_or(&script.name), &options);
    }
    script.hooks.iter().for_each(|(name, ops)| section(&mut out, &format!("hook {name}"), ops));
    for step in &script.migrations {
        let versions = serde_json::to_string(&(&step.from, &step.to)).unwrap_or_default();
        step.up.iter().for_each(|ops| section(&mut out, &format!("step up {versions}"), ops));
        step.down.iter().for_each(|ops| section(&mut out, &format!("step down {versions}"), ops));
        if step.up.is_none() && step.down.is_none() {
            line(&mut out, "step", "none", &versions);
        }
        if step.lossy {
            line(&mut out, "step", "lossy", &versions);
        }
    }
    section(&mut out, "top", &script.top);
    script.functions.iter().for_each(|(name, ops)| section(&mut out, &format!("function {name}"), ops));
    for (class, methods) in &script.classes {
        methods.iter().for_each(|(name, ops)| section(&mut out, &format!("method {class} {name}"), ops));
    }
    script.routes.iter().for_each(|(name, ops)| section(&mut out, &format!("route {name}"), ops));
    for (name, value) in &script.values {
        line(&mut out, "value", name, &serde_json::to_string(value).unwrap_or_default());
    }
    if script.broken {
        out.push_str("function ???\n");
    }
    out
}

fn line(out: &mut String, word: &str, name: &str, rest: &str) {
    let _ = writeln!(out, "{}", format!("{word} {name} {rest}").trim_end());
}

fn section(out: &mut String, head: &str, ops: &[Op]) {
    if ops.is_empty() && head == "top" {
        return;
    }
    let _ = writeln!(out, "{head}");
    for op in ops {
        let _ = writeln!(out, "  {}", serde_json::to_string(op).unwrap_or_default());
    }
}

/// Reads a source whose file is `origin`.
pub(crate) fn parse(text: &str, origin: &str) -> Result<Program, ScriptError> {
    let mut program = Program::default();
    let mut section = Section::None;
    for (index, line) in text.lines().enumerate() {
        let number = index as u32 + 1;
        let read = match line.strip_prefix("  ") {
            Some(statement) => statement_into(&mut program, &section, statement, number),
            None => {
                head_into(&mut program, line, number).map(|begun| section = begun.unwrap_or(Section::None))
            }
        };
        read.map_err(|(column, message)| {
            let error = ScriptError::new(ScriptErrorKind::Syntax, message);
            error.at(Place::new(origin, number, column)).with_source(text.as_bytes())
        })?;
    }
    Ok(program)
}

enum Section {
    None,
    Top,
    Hook(String),
    Function(String),
    Method(String, String),
    Route(String),
    /// A step, and whether it is its way up.
    Step(usize, bool),
}

type Bad = (u32, String);

fn head_into(program: &mut Program, line: &str, number: u32) -> Result<Option<Section>, Bad> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let column = word.len() as u32 + 2;
    let (name, tail) = rest.split_once(' ').unwrap_or((rest, ""));
    let json_column = column + name.len() as u32 + 1;
    match word {
        "" | "#" => {}
        "require" => program.requires.push((identifier(name, column)?, number)),
        "defer" => program.deferred.push((identifier(name, column)?, number)),
        "register" => program.register = Some((identifier(name, column)?, json(tail, json_column)?, number)),
        "value" => drop(program.values.insert(identifier(name, column)?, json(tail, json_column)?)),
        "computed" => program.computed = true,
        "top" => return Ok(Some(Section::Top)),
        "step" => return step_into(program, name, json(tail, json_column)?, column),
        "route" => {
            program.routes.insert(rest.to_owned(), Body::default());
            return Ok(Some(Section::Route(rest.to_owned())));
        }
        "method" => {
            let method = (identifier(name, column)?, identifier(tail, json_column)?);
            program.methods.insert(method.clone(), Body::default());
            return Ok(Some(Section::Method(method.0, method.1)));
        }
        "hook" | "function" => {
            let name = identifier(name, column)?;
            let hook = word == "hook";
            let bodies = if hook { &mut program.hooks } else { &mut program.functions };
            bodies.insert(name.clone(), Body::default());
            return Ok(Some(if hook { Section::Hook(name) } else { Section::Function(name) }));
        }
        _ => return Err((1, format!("unknown word `{word}`"))),
    }
    Ok(None)
}

fn step_into(
    program: &mut Program,
    what: &str,
    (from, to): (Value, Value),
    column: u32,
) -> Result<Option<Section>, Bad> {
    let known = program.migrations.iter().position(|step| step.from == from && step.to == to);
    let at = known.unwrap_or_else(|| {
        program.migrations.push(StepText { from, to, up: None, down: None, lossy: false });
        program.migrations.len() - 1
    });
    let step = &mut program.migrations[at];
    match what {
        "up" => step.up = Some(Body::default()),
        "down" => step.down = Some(Body::default()),
        "lossy" => step.lossy = true,
        "none" => {}
        _ => return Err((column, format!("`{what}` is neither `up`, `down` nor `lossy`"))),
    }
    Ok(matches!(what, "up" | "down").then_some(Section::Step(at, what == "up")))
}

fn statement_into(program: &mut Program, section: &Section, line: &str, number: u32) -> Result<(), Bad> {
    let op: Op = json(line, 3)?;
    let body = match section {
        Section::None => return Err((3, "a statement outside of every section".into())),
        Section::Top => &mut program.top,
        Section::Hook(name) => program.hooks.entry(name.clone()).or_default(),
        Section::Function(name) => program.functions.entry(name.clone()).or_default(),
        Section::Method(class, name) => program.methods.entry((class.clone(), name.clone())).or_default(),
        Section::Route(name) => program.routes.entry(name.clone()).or_default(),
        Section::Step(at, up) => {
            let step = &mut program.migrations[*at];
            if *up { step.up.get_or_insert_default() } else { step.down.get_or_insert_default() }
        }
    };
    body.ops.push(op);
    body.lines.push(number);
    Ok(())
}

fn identifier(name: &str, column: u32) -> Result<String, Bad> {
    let fits = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        return Err((column, format!("`{name}` is not a name")));
    }
    Ok(name.to_owned())
}

fn json<T: serde::de::DeserializeOwned>(text: &str, column: u32) -> Result<T, Bad> {
    serde_json::from_str(text).map_err(|error| (column + error.column().max(1) as u32 - 1, error.to_string()))
}

impl Program {
    /// What it is certain to register with.
    pub(crate) fn declared(&self, name: &str) -> Option<Declared> {
        let (_, options, _) =
            self.register.as_ref().filter(|(registered, ..)| registered == name && !self.computed)?;
        let version = options.get("version").map(Version::from_value).transpose().ok()?;
        let steps = self.migrations.iter().map(|step| {
            let (from, to) = (Version::from_value(&step.from).ok()?, Version::from_value(&step.to).ok()?);
            Some(Migration { from, to, up: step.up.is_some(), down: step.down.is_some(), lossy: step.lossy })
        });
        let migrations = Migrations::new(steps.collect::<Option<Vec<_>>>()?).ok()?;
        Some(Declared { version, migrations })
    }

    /// Every require with a constant name, in the order of the text.
    pub(crate) fn all_requires(&self, origin: &str) -> Vec<Require> {
        let mut found: Vec<(String, u32, bool)> = Vec::new();
        found.extend(self.requires.iter().map(|(name, line)| (name.clone(), *line, false)));
        found.extend(self.deferred.iter().map(|(name, line)| (name.clone(), *line, true)));
        let steps = self.migrations.iter().flat_map(|step| step.up.iter().chain(&step.down));
        let inner =
            self.hooks.values().chain(self.functions.values()).chain(self.routes.values()).chain(steps);
        let inner = inner.chain(self.methods.values());
        let bodies = std::iter::once((&self.top, false)).chain(inner.map(|body| (body, true)));
        for (body, deferred) in bodies {
            for (op, line) in body.ops.iter().zip(&body.lines) {
                let later = deferred || matches!(op, Op::Spawn { .. } | Op::Keep { .. } | Op::Own { .. });
                let names = requires_in(std::slice::from_ref(op)).into_iter();
                let new = names.filter(|name| !self.requires.iter().any(|(known, _)| known == name));
                found.extend(new.map(|name| (name, *line, later)));
            }
        }
        found.sort_by_key(|(_, line, _)| *line);
        let require = |(name, line, deferred): (String, u32, bool)| {
            let place = Place { file: origin.to_owned(), line: Some(line), column: None };
            Require { name: name.as_str().into(), place, deferred }
        };
        found.into_iter().map(require).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::*;

    #[test]
    fn what_is_rendered_is_read_back() {
        let script = Script::new("hits")
            .version("1.0.0")
            .requires("log")
            .init([set("count", 0)])
            .function("hit", [inc("count"), ret(call("db", "get"))])
            .route("GET /x", [ret("x")])
            .value("limit", 5)
            .up("1.0.0", [2, 0, 0], [inc("count")])
            .down("1.0.0", [2, 0, 0], [])
            .lossy("1.0.0", [2, 0, 0]);
        let text = render(&script);
        let program = parse(&text, "hits.fake").unwrap();
        assert_eq!(program.functions["hit"].ops, script.functions["hit"]);
        assert_eq!(program.hooks["init"].ops, script.hooks["init"]);
        assert_eq!(program.routes["GET /x"].ops, script.routes["GET /x"]);
        assert_eq!(program.values, script.values);
        let [step] = &program.migrations[..] else { panic!("{text}") };
        assert_eq!((&step.from, &step.to), (&"1.0.0".into(), &[2, 0, 0].into()));
        assert_eq!(step.up.as_ref().unwrap().ops, [inc("count")]);
        assert!(step.lossy && step.down.as_ref().is_some_and(|body| body.ops.is_empty()));
        assert_eq!(program.register.unwrap().1, script.options);
    }

    #[test]
    fn a_syntax_error_has_line_column_and_the_line() {
        let error = parse("require log\nfunction ???\n", "a.fake").unwrap_err();
        assert_eq!(error.place, Some(Place::new("a.fake", 2, 10)));
        assert_eq!(error.source_line.as_deref(), Some("function ???"));
        let error = parse("top\n  {\"inc\":}\n", "a.fake").unwrap_err();
        assert_eq!(error.place, Some(Place::new("a.fake", 2, 10)));
    }
}
