//! Scripts as Rhai.
//!
//! It expects the modules `graceful`, `fiber`, `http` and the test's `probe` to be importable; that
//! `graceful::state()` and `graceful::me()` give the state and the module object of the code that calls; that
//! `graceful::table(map)` makes a table with identity and
//! `graceful::class(name, methods)` a class; that `graceful::invoke(module, function, arguments)`
//! requires by a computed name; and that what a refusal throws has the field `code`. There are no globals.

use std::collections::BTreeSet;

use graceful_core::Value;

use super::Dialect;
use super::page::{Page, quoted, single_texts, variable};
use crate::op::{Expr, Op};
use crate::script::{Script, requires_in, takes};

/// Scripts as Rhai, for a backend named `rhai`.
pub struct Rhai;

impl Dialect for Rhai {
    fn backend(&self) -> &str {
        "rhai"
    }

    fn extension(&self) -> &str {
        "rhai"
    }

    fn render(&self, script: &Script) -> String {
        let mut writer = Writer { script, page: Page::default() };
        writer.script();
        writer.page.into_text()
    }
}

/// What scripts use of their own: an element that is nothing, a version as text, a name nobody can read.
const OWN: [&str; 3] = [
    r#"private fn some(v) { if type_of(v) == "()" { "none" } else { v } }"#,
    r#"private fn text(v) { if type_of(v) == "()" { () } else { v.to_string() } }"#,
    r#"private fn computed(name) { name }"#,
];

struct Writer<'a> {
    script: &'a Script,
    page: Page,
}

impl Writer<'_> {
    fn script(&mut self) {
        let script = self.script;
        script.comment.iter().for_each(|comment| self.page.line(format!("// {comment}")));
        for builtin in ["graceful", "fiber", "http"] {
            self.page.line(format!("import \"{builtin}\" as {builtin};"));
        }
        if script.uses_probe() {
            self.page.line("import \"probe\" as probe;");
        }
        script.requires.iter().for_each(|name| self.import(name));
        OWN.iter().for_each(|line| self.page.line(line));
        for (class, methods) in &script.classes {
            self.page.line(format!("let {} = graceful::class({}, #{{", variable(class), quoted(class)));
            methods.iter().for_each(|(name, ops)| self.function(&format!("{name}: || {{"), "},", ops));
            self.page.line("});");
        }
        if script.registered {
            self.registration();
        }
        for (name, value) in &script.values {
            self.page.line(format!("export const {name} = {};", literal(value)));
        }
        for (name, ops) in &script.functions {
            let params = if takes(ops) { "a0, a1" } else { "" };
            self.function(&format!("fn {name}({params}) {{"), "}", ops);
        }
        for (route, ops) in &script.routes {
            let (method, path) = route.split_once(' ').unwrap_or(("GET", route));
            let open = format!("http::route({}, {}, |request| {{", quoted(method), quoted(path));
            self.function(&open, "});", ops);
        }
        if !script.deferred.is_empty() {
            self.page.line("private fn never() {");
            script.deferred.iter().for_each(|name| self.import(name));
            self.page.line("}");
        }
        self.body(&script.top);
        if script.broken {
            self.page.line("let = = 1;");
        }
    }

    fn import(&mut self, name: &str) {
        self.page.line(format!("import {} as {};", quoted(name), variable(name)));
    }

    fn registration(&mut self) {
        let script = self.script;
        let name = quoted(script.registers_as.as_ref().unwrap_or(&script.name));
        if script.options.is_empty() && script.hooks.is_empty() && script.migrations.is_empty() {
            return self.page.line(format!("graceful::register_module({name});"));
        }
        self.page.line(format!("graceful::register_module({name}, #{{"));
        for (option, value) in &script.options {
            let value = literal(value);
            let value = if script.computed { format!("computed({value})") } else { value };
            self.page.line(format!("{option}: {value},"));
        }
        for (hook, ops) in &script.hooks {
            self.function(&format!("{hook}: |me| {{"), "},", ops);
        }
        self.migrations();
        self.page.line("});");
    }

    /// By `from` where that is possible, else as a list: both are ways to write them.
    fn migrations(&mut self) {
        let steps = &self.script.migrations;
        if steps.is_empty() {
            return;
        }
        let by_version = single_texts(steps);
        self.page.line(if by_version { "migrations: #{" } else { "migrations: [" });
        for step in steps {
            let (from, to) = (literal(&step.from), literal(&step.to));
            match by_version {
                true => self.page.line(format!("{from}: #{{ to: {to},")),
                false => self.page.line(format!("#{{ from: {from}, to: {to},")),
            }
            for (way, ops) in [("up", &step.up), ("down", &step.down)] {
                let Some(ops) = ops else { continue };
                self.page.line(format!("{way}: |state| {{"));
                ops.iter().for_each(|op| self.op(op));
                self.page.line("},");
            }
            if step.lossy {
                self.page.line("lossy: true,");
            }
            self.page.line("},");
        }
        self.page.line(if by_version { "}," } else { "]," });
    }

    fn function(&mut self, open: &str, close: &str, ops: &[Op]) {
        self.page.line(open);
        self.body(ops);
        self.page.line(close);
    }

    /// Operations that begin with a state of their own, so that closures capture none.
    fn body(&mut self, ops: &[Op]) {
        if !ops.is_empty() {
            self.page.line("let state = graceful::state();");
        }
        ops.iter().for_each(|op| self.op(op));
    }

    fn op(&mut self, op: &Op) {
        if op.inner().is_empty() {
            let bound: BTreeSet<&String> = self.script.requires.iter().collect();
            let names = requires_in(std::slice::from_ref(op));
            names.iter().filter(|name| !bound.contains(name)).for_each(|name| self.import(name));
        }
        let text = match op {
            Op::Set { key, value: Expr::Lit(value) } => format!("state.{key} = {}", table(value)),
            Op::Set { key, value } => format!("state.{key} = {}", expr(value)),
            Op::Make { key, class } => format!("state.{key} = {}.create()", variable(class)),
            Op::Inc { key } => format!("{}.add({}, 1)", above(key).0, quoted(above(key).1)),
            Op::Push { key, value } => {
                format!("{}.push({}, {})", above(key).0, quoted(above(key).1), expr(value))
            }
            Op::SetGlobal { .. } => "throw \"there are no globals\"".into(),
            Op::Do(value) => format!("let _done = {}", expr(value)),
            Op::Require { module } => format!("import computed({}) as {}", quoted(module), variable(module)),
            Op::Yield => "fiber::sleep(0)".into(),
            Op::Sleep { ms } => format!("fiber::sleep({:?})", *ms as f64 / 1000.0),
            Op::Wait { latch } => {
                format!("while !probe::open({}) {{ fiber::sleep(0.001); }}", quoted(latch))
            }
            Op::Throw { message } => format!("throw {}", quoted(message)),
            Op::Spin => "while true { }".into(),
            Op::Hog => "let hog = []; while true { hog.push(\"x\".to_blob()); }".into(),
            Op::Note(value) => format!("probe::note({})", expr(value)),
            Op::Return(value) => format!("return {}", expr(value)),
            Op::Cancel { key } => format!("state.{key}.cancel()"),
            Op::Reload => {
                let said = "if got == true { \"true\" } else { got.outcome }";
                let told = "catch (e) { probe::note(\"reload \" + e.code); }";
                format!("try {{ let got = graceful::reload(); probe::note(\"reload \" + ({said})); }} {told}")
            }
            Op::Unregister { module } => {
                let told = "catch (e) { probe::note(\"unregister \" + e.code); }";
                format!("try {{ graceful::unregister_module({}); }} {told}", quoted(module))
            }
            Op::Spawn { keep, forever, body } => {
                let keep = keep.as_ref().map_or(String::new(), |key| format!("state.{key} = "));
                self.page.line(format!("{keep}fiber::create(|| {{"));
                match forever {
                    true => self.function("loop {", "}", body),
                    false => self.body(body),
                }
                return self.page.line("});");
            }
            Op::Keep { key, body } => return self.function(&format!("state.{key} = || {{"), "};", body),
            Op::Own { key, release } => {
                return self.function(
                    &format!("graceful::own({}, true, |_owned| {{", quoted(key)),
                    "});",
                    release,
                );
            }
            Op::Try(body) => return self.function("try {", "} catch { }", body),
        };
        self.page.line(format!("{text};"));
    }
}

fn expr(value: &Expr) -> String {
    match value {
        Expr::Lit(value) => literal(value),
        Expr::State(key) => format!("state.{key}"),
        Expr::Arg { at, key } => format!("a{at}.{key}"),
        Expr::Global(_) => "()".into(),
        Expr::Name => "graceful::me().name".into(),
        Expr::Version => "text(graceful::me().version)".into(),
        Expr::Call { module, function, dynamic: true } => {
            format!("graceful::invoke({}, {}, [])", quoted(module), quoted(function))
        }
        Expr::Call { module, function, .. } => format!("{}::{function}()", variable(module)),
        Expr::Export { module, name } => format!("{}::{name}", variable(module)),
        Expr::Kept(key) => format!("state.{key}.call()"),
        Expr::Method { key, method } => format!("state.{key}.{method}()"),
        Expr::List(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| format!("some({})", expr(part))).collect();
            format!("[{}]", parts.join(", "))
        }
    }
}

/// The table an entry is in, and its name there.
fn above(key: &str) -> (String, &str) {
    match key.rsplit_once('.') {
        Some((above, name)) => (format!("state.{above}"), name),
        None => ("state".into(), key),
    }
}

fn literal(value: &Value) -> String {
    written(value, "#{")
}

/// A literal whose maps have identity, as maps in a state do.
fn table(value: &Value) -> String {
    written(value, "graceful::table(#{")
}

fn written(value: &Value, map: &str) -> String {
    match value {
        Value::Null => "()".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Str(text) => quoted(text),
        Value::List(items) => {
            format!("[{}]", items.iter().map(|item| written(item, map)).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let entries =
                entries.iter().map(|(key, value)| format!("{}: {}", quoted(key), written(value, map)));
            let close = if map.ends_with("(#{") { "})" } else { "}" };
            format!("{map}{}{close}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Bytes(bytes) => {
            format!("\"{}\".to_blob()", bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::*;

    #[test]
    fn a_script_reads_like_rhai() {
        let script = Script::new("web")
            .version("1.0.0")
            .requires("db")
            .init([inc("n"), set("user", Value::Map([("name".to_owned(), "ada".into())].into()))])
            .function("page", [ret(list([call("db", "get"), state("a.b")]))])
            .function("late", [ret(call("log", "get"))]);
        let text = Rhai.render(&script);
        for line in [
            "import \"db\" as m_db;",
            "graceful::register_module(\"web\", #{",
            "version: \"1.0.0\",",
            "init: |me| {",
            "state.add(\"n\", 1);",
            "state.user = graceful::table(#{\"name\": \"ada\"});",
            "return [some(m_db::get()), some(state.a.b)];",
            "import \"log\" as m_log;",
        ] {
            assert!(text.lines().any(|found| found.trim() == line), "{line} in\n{text}");
        }
    }
}
