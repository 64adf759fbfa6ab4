//! What a text registers its module with, where that can be read: constants, in a call that stands at the top level
//! itself.

use graceful_core::Declared;
use graceful_core::{Migration, Migrations, Value, Version};
use rhai::{AST, Expr, FnCallExpr, Stmt};

/// What is certain to be registered as `name`. A second registration, or anything that must be computed, leaves
/// it open.
pub(crate) fn read(ast: &AST, name: &str) -> Option<Declared> {
    let mut calls = ast.statements().iter().filter_map(registration);
    let (call, None) = (calls.next()?, calls.next()) else { return None };
    let [Expr::StringConstant(registered, _), options @ ..] = &call.args[..] else { return None };
    if *registered != *name {
        return None;
    }
    let [options] = options else { return options.is_empty().then(Declared::default) };
    let (mut version, mut steps) = (None, Vec::new());
    for (option, value) in entries(options)? {
        match option {
            "version" => version = Some(self::version(value)?),
            "migrations" => steps = self::steps(value)?,
            _ => {}
        }
    }
    Some(Declared { version, migrations: Migrations::new(steps).ok()? })
}

/// `graceful::register_module(..)` as a statement, or as what a variable becomes.
fn registration(statement: &Stmt) -> Option<&FnCallExpr> {
    let call = match statement {
        Stmt::FnCall(call, _) => Some(&**call),
        Stmt::Expr(value) => called(value),
        Stmt::Var(variable, ..) => called(&variable.1),
        _ => None,
    };
    call.filter(|call| is_of_graceful(call, "register_module"))
}

/// The call that `value` is, or begins with: `graceful::register_module(..).state`.
fn called(value: &Expr) -> Option<&FnCallExpr> {
    match value {
        Expr::FnCall(call, _) => Some(call),
        Expr::Dot(pair, ..) => called(&pair.lhs),
        _ => None,
    }
}

fn is_of_graceful(call: &FnCallExpr, name: &str) -> bool {
    call.name == name && call.namespace.to_string().trim_end_matches("::") == "graceful"
}

fn entries(map: &Expr) -> Option<impl Iterator<Item = (&str, &Expr)>> {
    let Expr::Map(map, _) = map else { return None };
    Some(map.0.iter().map(|(key, value)| (key.name.as_str(), value)))
}

fn plain(value: &Expr) -> Option<Value> {
    match value {
        Expr::StringConstant(text, _) => Some(text.as_str().into()),
        Expr::IntegerConstant(number, _) => Some((*number).into()),
        Expr::Array(items, _) => items.iter().map(plain).collect::<Option<Vec<_>>>().map(Value::List),
        _ => None,
    }
}

fn version(value: &Expr) -> Option<Version> {
    let plain = match value {
        Expr::FnCall(call, _) if is_of_graceful(call, "semver") => match &call.args[..] {
            [one] => plain(one)?,
            three => Value::List(three.iter().map(plain).collect::<Option<Vec<_>>>()?),
        },
        value => plain(value)?,
    };
    Version::from_value(&plain).ok()
}

fn steps(option: &Expr) -> Option<Vec<Migration>> {
    let mut steps = Vec::new();
    if let Expr::Array(list, _) = option {
        for entry in list.iter() {
            steps.push(step(entry, None)?);
        }
        return Some(steps);
    }
    for (from, entry) in entries(option)? {
        let from = Version::parse(from).ok()?;
        match entry {
            Expr::Array(list, _) => {
                for entry in list.iter() {
                    steps.push(step(entry, Some(from.clone()))?);
                }
            }
            entry => steps.push(step(entry, Some(from))?),
        }
    }
    Some(steps)
}

fn step(entry: &Expr, mut from: Option<Version>) -> Option<Migration> {
    let (mut to, mut up, mut down, mut lossy) = (None, false, false, false);
    for (key, value) in entries(entry)? {
        match (key, value) {
            ("from", value) => from = Some(version(value)?),
            ("to", value) => to = Some(version(value)?),
            // A closure is a call that makes a function of it where it captures something.
            ("up", _) => up = true,
            ("down", _) => down = true,
            ("lossy", Expr::BoolConstant(truth, _)) => lossy = *truth,
            _ => return None,
        }
    }
    Some(Migration { from: from?, to: to?, up, down, lossy })
}

#[cfg(test)]
mod tests {
    use rhai::{Engine, OptimizationLevel};

    use super::*;

    fn told(text: &str) -> Option<String> {
        let mut engine = Engine::new();
        engine.set_optimization_level(OptimizationLevel::None);
        let declared = read(&engine.compile(text).unwrap(), "web")?;
        let version = declared.version.map_or("none".to_owned(), |version| version.to_string());
        Some(format!("{version}; {}", declared.migrations).trim_end_matches("; ").to_owned())
    }

    #[test]
    fn ver_03_constants_of_a_registration_at_the_top_are_read() {
        let step = "#{ to: \"2.0.0\", up: |s| s, down: |s| () }";
        for (text, declared) in [
            ("graceful::register_module(\"web\");".to_owned(), "none"),
            ("let me = graceful::register_module(\"web\", #{ version: \"1.2.3\" });".to_owned(), "1.2.3"),
            (
                "let s = graceful::register_module(\"web\", #{ version: [1, 2, 3] }).state;".to_owned(),
                "1.2.3",
            ),
            (
                "graceful::register_module(\"web\", #{ version: graceful::semver(2, 0, 0) });".to_owned(),
                "2.0.0",
            ),
            (
                format!(
                    "graceful::register_module(\"web\", #{{ version: \"2.0.0\", init: |m| m.state.n = 1,
                    migrations: #{{ \"1.0.0\": {step}, \"0.9.0\": [{step}] }} }});"
                ),
                "2.0.0; 0.9.0 -> 2.0.0 (up and down), 1.0.0 -> 2.0.0 (up and down)",
            ),
            (
                "const me = graceful::register_module(\"web\", #{ version: \"2.0.0\",
                    migrations: [#{ from: [1, 0, 0], to: \"2.0.0\", up: |s| s, lossy: true }] });"
                    .to_owned(),
                "2.0.0; 1.0.0 -> 2.0.0 (up only)",
            ),
        ] {
            assert_eq!(told(&text).as_deref(), Some(declared), "{text}");
        }
    }

    #[test]
    fn ver_03_what_is_not_certain_is_left_open() {
        for text in [
            "",
            "graceful::register_module(\"other\", #{ version: \"1.0.0\" });",
            "let v = \"1.0.0\"; graceful::register_module(\"web\", #{ version: v });",
            "let o = #{ version: \"1.0.0\" }; graceful::register_module(\"web\", o);",
            "if now() { graceful::register_module(\"web\", #{ version: \"1.0.0\" }); }",
            "fn f() { graceful::register_module(\"web\", #{ version: \"1.0.0\" }); }",
            "register_module(\"web\", #{ version: \"1.0.0\" });",
            "mine::register_module(\"web\", #{ version: \"1.0.0\" });",
            "graceful::register_module(\"web\", #{ version: \"1.0.0\", migrations: steps });",
            "graceful::register_module(\"web\", #{ version: \"1.0.0\", migrations: #{ \"1\": #{ to: \"2.0.0\" } } });",
            "graceful::register_module(\"web\", #{ version: \"1.0.0\" }); graceful::register_module(\"web\");",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
