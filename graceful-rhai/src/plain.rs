//! Top levels that only import and declare: nothing in them can wait or take long.

use rhai::{AST, Stmt};

/// Whether each statement imports by a constant name, exports, or declares a variable that is a constant. Functions
/// are no statements.
pub(crate) fn is_plain(ast: &AST) -> bool {
    ast.statements().iter().all(|statement| match statement {
        Stmt::Noop(_) | Stmt::Export(..) => true,
        Stmt::Import(import, _) => import.0.is_constant(),
        Stmt::Var(variable, ..) => variable.1.is_constant(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use rhai::Engine;

    use super::*;

    fn plain(text: &str) -> bool {
        let mut engine = Engine::new();
        engine.set_optimization_level(rhai::OptimizationLevel::None);
        is_plain(&engine.compile(text).unwrap())
    }

    #[test]
    fn what_calls_computes_or_decides_is_not_plain() {
        let text = r#"
            import "a" as a;
            const LIMIT = 5;
            let names = ["a", #{ b: 1 }];
            export names as known;
            fn twice(x) { while x > 0 { } a::f(x) }
        "#;
        assert!(plain(text));
        for more in
            ["twice(2);", "let n = a::f();", "if true { }", "import `b${1 + 1}` as b;", "let c = 1 + LIMIT;"]
        {
            assert!(!plain(&format!("{text}{more}")), "{more}");
        }
    }
}
