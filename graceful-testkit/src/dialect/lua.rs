//! Scripts as Lua.
//!
//! The text is plain Lua 5.1 and up. It expects `require` to give `graceful`, `fiber`, `http` and the test's
//! `probe`; that `graceful.reload()` returns `true` where it does nothing, a report with the field `outcome`
//! where it waited, and anything else where it was queued; and that a refusal throws something whose text
//! holds its code.

use std::collections::BTreeSet;

use graceful_core::Value;

use super::Dialect;
use super::page::{Page, quoted, single_texts, variable};
use crate::op::{Expr, Op};
use crate::script::{Script, requires_in, takes};

/// Scripts as Lua, for a backend named `lua`.
pub struct Lua;

impl Dialect for Lua {
    fn backend(&self) -> &str {
        "lua"
    }

    fn extension(&self) -> &str {
        "lua"
    }

    fn render(&self, script: &Script) -> String {
        let used: BTreeSet<String> = script.bodies().flat_map(requires_in).collect();
        let bound = script.requires.iter().filter(|name| used.contains(*name)).cloned().collect();
        let mut writer = Writer { script, bound, page: Page::default() };
        writer.script();
        writer.page.into_text()
    }
}

struct Writer<'a> {
    script: &'a Script,
    /// The modules that have a local of their own.
    bound: BTreeSet<String>,
    page: Page,
}

impl Writer<'_> {
    fn script(&mut self) {
        let script = self.script;
        script.comment.iter().for_each(|comment| self.page.line(format!("-- {comment}")));
        self.head();
        for name in &script.requires {
            match self.bound.contains(name) {
                true => self.page.line(format!("local {} = require({})", variable(name), quoted(name))),
                false => self.page.line(format!("require({})", quoted(name))),
            }
        }
        self.page.line("local M, mod = {}");
        for (class, methods) in &script.classes {
            self.page.line(format!("local {0} = graceful.class({1})", variable(class), quoted(class)));
            for (name, ops) in methods {
                self.function(&format!("function {}:{name}()", variable(class)), "end", ops);
            }
        }
        if script.registered {
            self.registration();
        }
        script
            .values
            .iter()
            .for_each(|(name, value)| self.page.line(format!("M.{name} = {}", literal(value))));
        for (name, ops) in &script.functions {
            let params = if takes(ops) { "a0, a1" } else { "" };
            self.function(&format!("function M.{name}({params})"), "end", ops);
        }
        for (route, ops) in &script.routes {
            let (method, path) = route.split_once(' ').unwrap_or(("GET", route));
            let open = format!("require(\"http\").route({}, {}, function()", quoted(method), quoted(path));
            self.function(&open, "end)", ops);
        }
        if !script.deferred.is_empty() {
            let requires = |page: &mut Page| {
                script.deferred.iter().for_each(|name| page.line(format!("require({})", quoted(name))));
            };
            self.page.block("local function never()", "end", requires);
        }
        self.ops(&script.top);
        if script.broken {
            self.page.line("local = =");
        }
        self.page.line("return M");
    }

    fn head(&mut self) {
        self.page.line("local graceful = require(\"graceful\")");
        if self.script.uses_probe() {
            self.page.line("local probe = require(\"probe\")");
        }
        let fibers = |op: &Op| {
            matches!(
                op,
                Op::Yield | Op::Sleep { .. } | Op::Wait { .. } | Op::Spawn { .. } | Op::Cancel { .. }
            )
        };
        if self.script.uses(fibers) {
            self.page.line("local fiber = require(\"fiber\")");
        }
        self.page.line("local function some(v) if v == nil then return \"none\" end return v end");
        self.page
            .line("local function code(e) return string.match(tostring(e), \"GR%d+\") or tostring(e) end");
    }

    fn registration(&mut self) {
        let script = self.script;
        let name = quoted(script.registers_as.as_ref().unwrap_or(&script.name));
        if script.options.is_empty() && script.hooks.is_empty() && script.migrations.is_empty() {
            return self.page.line(format!("mod = graceful.register_module({name})"));
        }
        self.page.line(format!("mod = graceful.register_module({name}, {{"));
        for (option, value) in &script.options {
            let value = literal(value);
            let value = if script.computed { format!("some({value})") } else { value };
            self.page.line(format!("{option} = {value},"));
        }
        for (hook, ops) in &script.hooks {
            self.function(&format!("{hook} = function(mod)"), "end,", ops);
        }
        self.migrations();
        self.page.line("})");
    }

    /// By `from` where that is possible, else as a list: both are ways to write them.
    fn migrations(&mut self) {
        let steps = &self.script.migrations;
        if steps.is_empty() {
            return;
        }
        let by_version = single_texts(steps);
        self.page.line("migrations = {");
        for step in steps {
            let (from, to) = (literal(&step.from), literal(&step.to));
            match by_version {
                true => self.page.line(format!("[{from}] = {{ to = {to},")),
                false => self.page.line(format!("{{ from = {from}, to = {to},")),
            }
            for (way, ops) in [("up", &step.up), ("down", &step.down)] {
                let Some(ops) = ops else { continue };
                self.page.line(format!("{way} = function(state)"));
                self.page.line("local mod = {state = state, name = mod.name, version = mod.version}");
                self.ops(ops);
                self.page.line("end,");
            }
            if step.lossy {
                self.page.line("lossy = true,");
            }
            self.page.line("},");
        }
        self.page.line("},");
    }

    fn function(&mut self, open: &str, close: &str, ops: &[Op]) {
        self.page.line(open);
        self.ops(ops);
        self.page.line(close);
    }

    fn ops(&mut self, ops: &[Op]) {
        ops.iter().for_each(|op| self.op(op));
    }

    fn op(&mut self, op: &Op) {
        let text = match op {
            Op::Set { key, value } => format!("{} = {}", place(key), self.expr(value)),
            Op::Make { key, class } => format!("{} = setmetatable({{}}, {})", place(key), variable(class)),
            Op::Inc { key } => format!("{0} = ({0} or 0) + 1", place(key)),
            Op::Push { key, value } => {
                self.page.line(format!("{0} = {0} or {{}}", place(key)));
                format!("table.insert({}, {})", place(key), self.expr(value))
            }
            Op::SetGlobal { name, value } => format!("{name} = {}", self.expr(value)),
            Op::Do(expr) => format!("local _ = {}", self.expr(expr)),
            Op::Require { module } => format!("require({})", computed(module)),
            Op::Yield => "fiber.yield()".into(),
            Op::Sleep { ms } => format!("fiber.sleep({})", *ms as f64 / 1000.0),
            Op::Wait { latch } => {
                format!("while not probe.open({}) do fiber.sleep(0.001) end", quoted(latch))
            }
            Op::Throw { message } => format!("error({})", quoted(message)),
            Op::Spin => "while true do end".into(),
            Op::Hog => {
                let more = "hog[#hog + 1] = string.rep(\"x\", 65536) .. #hog";
                format!("do local hog = {{}} while true do {more} end end")
            }
            Op::Note(expr) => format!("probe.note({})", self.expr(expr)),
            Op::Return(expr) => format!("do return {} end", self.expr(expr)),
            Op::Cancel { key } => format!("{}:cancel()", place(key)),
            Op::Reload => {
                let said = "ok and (got == true and \"true\" or got.outcome or \"queued\") or code(got)";
                format!("do local ok, got = pcall(graceful.reload) probe.note(\"reload \" .. ({said})) end")
            }
            Op::Unregister { module } => {
                let call = format!("pcall(graceful.unregister_module, {})", quoted(module));
                format!(
                    "do local ok, got = {call} if not ok then probe.note(\"unregister \" .. code(got)) end end"
                )
            }
            Op::Spawn { keep, forever, body } => {
                let keep =
                    keep.as_ref().map(|key| format!("{} = ", place(key))).unwrap_or("local _ = ".into());
                let (open, close) = if *forever { ("while true do", "end ") } else { ("", "") };
                return self.function(
                    &format!("{keep}fiber.new(function() {open}"),
                    &format!("{close}end)"),
                    body,
                );
            }
            Op::Keep { key, body } => {
                return self.function(&format!("{} = function()", place(key)), "end", body);
            }
            Op::Own { key, release } => {
                return self.function(
                    &format!("graceful.own({}, true, function()", quoted(key)),
                    "end)",
                    release,
                );
            }
            Op::Try(body) => return self.function("pcall(function()", "end)", body),
        };
        self.page.line(text);
    }

    fn expr(&self, expr: &Expr) -> String {
        match expr {
            Expr::Lit(value) => literal(value),
            Expr::State(key) => place(key),
            Expr::Arg { at, key } => format!("a{at}.{key}"),
            Expr::Global(name) => name.clone(),
            Expr::Name => "mod.name".into(),
            Expr::Version => "(mod.version and tostring(mod.version))".into(),
            Expr::Call { module, function, dynamic } => {
                format!("{}.{function}()", self.module(module, *dynamic))
            }
            Expr::Export { module, name } => format!("{}.{name}", self.module(module, false)),
            Expr::Kept(key) => format!("{}()", place(key)),
            Expr::Method { key, method } => format!("{}:{method}()", place(key)),
            Expr::List(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| format!("some({})", self.expr(part))).collect();
                format!("{{{}}}", parts.join(", "))
            }
        }
    }

    fn module(&self, module: &str, dynamic: bool) -> String {
        match (dynamic, self.bound.contains(module)) {
            (true, _) => format!("require({})", computed(module)),
            (false, true) => variable(module),
            (false, false) => format!("require({})", quoted(module)),
        }
    }
}

/// An entry of the state.
fn place(key: &str) -> String {
    format!("mod.state.{key}")
}

/// A name that nobody can find by reading the source.
fn computed(module: &str) -> String {
    format!("string.format(\"%s\", {})", quoted(module))
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "nil".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Str(text) => quoted(text),
        Value::List(items) => format!("{{{}}}", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let entries: Vec<_> =
                map.iter().map(|(key, value)| format!("[{}] = {}", quoted(key), literal(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Bytes(bytes) => {
            format!("\"{}\"", bytes.iter().map(|byte| format!("\\{byte:03}")).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::*;

    #[test]
    fn a_script_reads_like_lua() {
        let script = Script::new("web")
            .version("1.0.0")
            .requires("db")
            .init([inc("n")])
            .function("page", [ret(list([call("db", "get"), state("a.b")]))]);
        let text = Lua.render(&script);
        for line in [
            "local m_db = require(\"db\")",
            "mod = graceful.register_module(\"web\", {",
            "version = \"1.0.0\",",
            "init = function(mod)",
            "mod.state.n = (mod.state.n or 0) + 1",
            "do return {some(m_db.get()), some(mod.state.a.b)} end",
            "return M",
        ] {
            assert!(text.lines().any(|found| found.trim() == line), "{line} in\n{text}");
        }
    }
}
