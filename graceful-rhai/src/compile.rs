//! One source as a tree: what it imports, what it exports, and where it changes a state in place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use graceful_core::error::ScriptErrorKind;
use graceful_core::near::{meant, nearest};
use graceful_core::{Compiled, Name, Place, Require, ScriptError, Source};
use rhai::{
    AST, ASTNode, Engine, Expr, FnAccess, ImmutableString, Module, OptimizationLevel, Position, Scope,
    Shared, Stmt, StmtBlock,
};

use crate::declared;
use crate::error::{self, STUBS};
use crate::plain::is_plain;

/// The modules that are always there and may be imported all the same, as in other languages. A module of the
/// app that has one of these names cannot be had; `log` is always there too, but gives way to the app's.
pub(crate) const BUILTIN: [&str; 3] = ["graceful", "fiber", "http"];

/// What is called as a method, with how many arguments, and where, if that is one place only.
type Methods = BTreeMap<(String, usize), Position>;

/// Methods that change a value in place without running a script.
const CHANGING: [&str; 12] = [
    "push", "append", "insert", "pop", "shift", "remove", "clear", "truncate", "reverse", "set", "mixin",
    "pad",
];

/// How sources are read.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    /// How far functions are optimized; the engine itself is set not to.
    pub(crate) level: OptimizationLevel,
    /// Every variable must be declared, in every file.
    pub(crate) strict: bool,
}

/// A source that was parsed.
pub(crate) struct Program {
    pub(crate) source: Arc<Source>,
    pub(crate) ast: AST,
    /// The top level as one expression, so that it can be run in a frame of our own.
    pub(crate) body: Expr,
    /// Its public functions, by name and number of parameters.
    pub(crate) exports: BTreeSet<(String, usize)>,
    pub(crate) methods: Methods,
    /// Methods of objects that functions of this file would hide, see `class`.
    pub(crate) stubs: Option<Shared<Module>>,
    /// Where a statement reads an entry of a table to write it back.
    pub(crate) updates: BTreeSet<(usize, usize)>,
    /// It has a loop that uses `this` and reads no variable.
    pub(crate) blind: bool,
    /// Its top level only imports and declares.
    pub(crate) plain: bool,
}

/// Parses `source`. Pure: the engine is only asked how to read, and reads without optimizing: Rhai would drop
/// imports that it takes to be unused. Functions are optimized afterwards.
///
/// # Errors
/// The first thing in it that does not parse.
pub(crate) fn compile(engine: &Engine, reading: Reading, source: &Source) -> Result<Compiled, ScriptError> {
    let text = text_of(source)?;
    let ast = engine.compile(text).map_err(|wrong| error::syntax(&wrong, source))?;
    let statements = ast.statements().iter().cloned();
    let body = Expr::Stmt(Box::new(StmtBlock::new(statements, Position::NONE, Position::NONE)));
    let mut scan = Scan { origin: &source.origin, ..Scan::default() };
    let top_level = ast.statements().as_ptr_range();
    ast.walk(&mut |path: &[ASTNode]| {
        let inside = |root: &ASTNode| matches!(root, ASTNode::Stmt(root) if top_level.contains(&(*root as *const Stmt)));
        scan.node(path.last(), !path.first().is_some_and(inside));
        true
    });
    if reading.strict || ast.statements().iter().any(is_strict) {
        declares(&ast, &scan.unknown, source)?;
    }
    let Scan { mut requires, updates, methods, returns, blind, .. } = scan;
    requires.sort_by_key(|require: &Require| (require.place.line, require.place.column));
    let declared = declared::read(&ast, &source.name).filter(|_| !returns);
    let plain = is_plain(&ast);
    let mut ast = engine.optimize_ast(&Scope::new(), ast, reading.level);
    ast.set_source(source.origin.as_str());
    let public = ast.iter_fn_def().filter(|f| f.access == FnAccess::Public && f.this_type.is_none());
    let named = public.filter(|f| !f.name.starts_with("anon$"));
    let exports = named.map(|f| (f.name.to_string(), f.params.len())).collect();
    let stubs = stubs(engine, &ast, &methods);
    let source = Arc::new(source.clone());
    let program = Program { source, ast, body, exports, methods, stubs, updates, plain, blind };
    Ok(Compiled { requires: requires.into(), artifact: Arc::new(program), declared })
}

/// The name of the type of objects, in scripts.
pub(crate) const OBJECT: &str = "ClassObject";
/// The methods of what graceful gives to scripts, by the name of the type.
const OWN: [(&str, &[&str]); 5] = [
    (
        "Table",
        &[
            "get", "set", "remove", "clear", "contains", "keys", "values", "len", "is_empty", "to_map",
            "update", "add", "push",
        ],
    ),
    ("Fiber", &["cancel", "kill", "status", "join", "set_joinable"]),
    ("Channel", &["put", "get", "close", "is_closed", "is_empty", "is_full", "count", "size"]),
    ("Cond", &["wait", "signal", "broadcast"]),
    ("Class", &["create", "has"]),
];

/// What a stub calls a method by.
pub(crate) const METHOD: &str = "class__method";

/// A function of the file is found before anything else that is called by its name, so for those that share one
/// with a method that is called here there are functions that are found before them, by the type of what they are
/// called on.
fn stubs(engine: &Engine, ast: &AST, methods: &Methods) -> Option<Shared<Module>> {
    let plain = |name: &str, params: usize| {
        ast.iter_fn_def().any(|f| f.this_type.is_none() && f.name == name && f.params.len() == params)
    };
    let stub = |(name, params): &(String, usize)| {
        let params = (0..*params).map(|at| format!("a{at}")).collect::<Vec<_>>().join(", ");
        let own = OWN.iter().filter(|(_, methods)| methods.contains(&name.as_str())).map(|(kind, _)| *kind);
        let kinds = own.chain([OBJECT]);
        let stub =
            |kind| format!("fn {kind}.{name}({params}) {{ {METHOD}(this, \"{name}\", [{params}]) }}\n");
        kinds.map(stub).collect::<String>()
    };
    let text: String = methods.keys().filter(|(name, params)| plain(name, *params)).map(stub).collect();
    let mut made = engine.compile(&text).ok().filter(|_| !text.is_empty())?;
    made.set_source(STUBS);
    Some(made.shared_lib().clone())
}

fn text_of(source: &Source) -> Result<&str, ScriptError> {
    let bytes = source.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&source.text);
    std::str::from_utf8(bytes).map_err(|wrong| {
        let before = &bytes[..wrong.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        let message = "the source is not UTF-8";
        let place = Place::new(&source.origin, line as u32, column as u32);
        ScriptError::new(ScriptErrorKind::Syntax, message).at(place).with_source(&source.text)
    })
}

/// The name of a module as an import spells it: paths as Rhai has them mean the same as dotted names.
pub(crate) fn module_name(path: &str) -> Name {
    path.trim_start_matches("./").replace('/', ".").into()
}

#[derive(Default)]
struct Scan<'a> {
    origin: &'a str,
    requires: Vec<Require>,
    updates: BTreeSet<(usize, usize)>,
    methods: Methods,
    /// The top level may end before its last statement.
    returns: bool,
    blind: bool,
    /// Variables that are declared nowhere around them, and whether they stand in a function.
    unknown: Vec<(ImmutableString, Position, bool)>,
}

impl Scan<'_> {
    fn node(&mut self, node: Option<&ASTNode>, deferred: bool) {
        match node {
            Some(ASTNode::Expr(Expr::Variable(variable, _, at)))
                if variable.0.is_none() && variable.2.is_empty() =>
            {
                self.unknown.push((variable.1.clone(), *at, deferred));
            }
            Some(ASTNode::Stmt(all @ (Stmt::While(..) | Stmt::Do(..) | Stmt::For(..)))) => {
                self.blind |= is_blind(all);
            }
            Some(ASTNode::Stmt(Stmt::Return(..))) => self.returns |= !deferred,
            Some(ASTNode::Stmt(Stmt::Import(import, _))) => self.import(&import.0, deferred),
            Some(ASTNode::Stmt(Stmt::Assignment(assignment))) => self.chain(&assignment.1.lhs),
            Some(ASTNode::Expr(chain @ (Expr::Dot(..) | Expr::Index(..)))) if changes(chain) => {
                self.chain(chain)
            }
            Some(ASTNode::Expr(Expr::MethodCall(call, at))) => {
                let known = self.methods.entry((call.name.to_string(), call.args.len()));
                known.and_modify(|place| *place = Position::NONE).or_insert(*at);
            }
            _ => {}
        }
    }

    fn import(&mut self, path: &Expr, deferred: bool) {
        if let Expr::StringConstant(name, at) = path
            && !BUILTIN.contains(&name.as_str())
        {
            let place = error::place(self.origin, *at);
            self.requires.push(Require { name: module_name(name), place, deferred });
        }
    }

    /// Every step of a chain that is written back once the last one is done.
    fn chain(&mut self, mut link: &Expr) {
        while let Expr::Dot(pair, ..) | Expr::Index(pair, ..) = link {
            if let (Some(line), Some(column)) = (link.position().line(), link.position().position()) {
                self.updates.insert((line, column));
            }
            link = &pair.rhs;
        }
    }
}

/// Whether a loop uses `this` and reads no variable.
fn is_blind(all: &Stmt) -> bool {
    let (mut this, mut reads) = (false, false);
    all.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Expr(Expr::ThisPtr(_))) => this = true,
            Some(ASTNode::Expr(Expr::Variable(..))) => reads = true,
            _ => {}
        }
        true
    });
    this && !reads
}

/// `strict::on()`.
fn is_strict(statement: &Stmt) -> bool {
    let call = match statement {
        Stmt::FnCall(call, _) => Some(&**call),
        Stmt::Expr(value) => match &**value {
            Expr::FnCall(call, _) => Some(&**call),
            _ => None,
        },
        _ => None,
    };
    call.is_some_and(|call| {
        call.name == "on" && call.namespace.to_string().trim_end_matches("::") == "strict"
    })
}

/// Each of the `unknown` variables must be one of the top level's, where a function uses it, or a function.
fn declares(
    ast: &AST,
    unknown: &[(ImmutableString, Position, bool)],
    source: &Source,
) -> Result<(), ScriptError> {
    let own = ast.statements().iter().filter_map(|statement| match statement {
        Stmt::Var(variable, ..) => Some(variable.0.name.to_string()),
        _ => None,
    });
    let own: BTreeSet<String> = own.collect();
    let functions: BTreeSet<&str> = ast.iter_fn_def().map(|function| function.name.as_str()).collect();
    // What a closure captures it is given as parameters, which its body does not show.
    let closures = ast.iter_fn_def().filter(|function| function.name.starts_with("anon$"));
    let captured: BTreeSet<&str> =
        closures.flat_map(|closure| closure.params.iter().map(|name| name.as_str())).collect();
    let missing = unknown.iter().find(|(name, _, deferred)| {
        let around = own.contains(name.as_str()) || captured.contains(name.as_str());
        let known = functions.contains(name.as_str()) || (*deferred && around);
        !known
    });
    let Some((name, at, _)) = missing else { return Ok(()) };
    let near = nearest(name, own.iter().map(String::as_str)).map(meant).unwrap_or_default();
    let message = match own.contains(name.as_str()) {
        true => format!("variable `{name}` is used before it is declared"),
        false => format!("variable `{name}` is not declared{near}"),
    };
    let place = error::place(&source.origin, *at);
    Err(ScriptError::new(ScriptErrorKind::Syntax, message).at(place).with_source(&source.text))
}

/// Whether a chain ends in a method that changes what it is called on.
fn changes(mut chain: &Expr) -> bool {
    while let Expr::Dot(pair, ..) | Expr::Index(pair, ..) = chain {
        chain = &pair.rhs;
    }
    matches!(chain, Expr::MethodCall(call, _) if CHANGING.contains(&call.name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(text: impl Into<Vec<u8>>) -> Result<Compiled, ScriptError> {
        let mut engine = Engine::new();
        engine.set_optimization_level(OptimizationLevel::None);
        let source = Source::new("web", "rhai", "app/web.rhai", text.into());
        let reading = Reading { level: OptimizationLevel::Simple, strict: false };
        compile(&engine, reading, &source)
    }

    fn shown(text: &str) -> Vec<String> {
        let requires = compiled(text).unwrap().requires;
        requires
            .iter()
            .map(|r| format!("{} {}{}", r.place, r.name, if r.deferred { " deferred" } else { "" }))
            .collect()
    }

    #[test]
    fn ord_05_constant_imports_are_found_and_those_in_functions_are_deferred() {
        let text = r#"
            import "a" as a;
            let on = 1; if on > 0 { import "b" as b; b::x() }
            import "c" + "d" as computed;
            if true { import "z" as z; }
            import "graceful" as g;
            fn later() { import "e" as e; e::x() }
            let f = || { import "f" as f; f::x() };
        "#;
        let expected = [
            "app/web.rhai:2:20 a",
            "app/web.rhai:3:44 b",
            "app/web.rhai:5:30 z",
            "app/web.rhai:7:33 e deferred",
            "app/web.rhai:8:33 f deferred",
        ];
        assert_eq!(shown(text), expected);
    }

    #[test]
    fn public_functions_are_exported_by_name_and_arity() {
        let made =
            compiled("fn a(x) {} fn a(x, y) {} private fn b() {} fn int.c() {} let d = || 1;").unwrap();
        let program = made.artifact.downcast::<Program>().unwrap();
        assert_eq!(program.exports, BTreeSet::from([("a".into(), 1), ("a".into(), 2)]));
    }

    #[test]
    fn a_syntax_error_has_its_place_and_its_line() {
        let error = compiled("let a = 1;\nlet b = = 2;").err().unwrap();
        assert_eq!(error.to_string(), "app/web.rhai:2:9: unexpected '='");
        assert_eq!(error.source_line.as_deref(), Some("let b = = 2;"));
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_other_encodings_are_told() {
        assert!(compiled(b"\xef\xbb\xbflet a = 1;".to_vec()).is_ok());
        let error = compiled(b"let a = 1;\nlet b = \"\xff\";".to_vec()).err().unwrap();
        assert_eq!(error.to_string(), "app/web.rhai:2:10: the source is not UTF-8");
    }
}
