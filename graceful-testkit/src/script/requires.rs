//! What operations ask for: modules by a constant name, and what their function was given.

use std::collections::BTreeSet;

use crate::op::{Expr, Op};

/// The modules whose require, with a constant name, stands in `ops`.
pub fn requires_in(ops: &[Op]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(ops, &mut found);
    found
}

fn collect(ops: &[Op], found: &mut BTreeSet<String>) {
    for op in ops {
        op.exprs().into_iter().for_each(|expr| collect_expr(expr, found));
        collect(op.inner(), found);
    }
}

fn collect_expr(expr: &Expr, found: &mut BTreeSet<String>) {
    match expr {
        Expr::Call { module, dynamic: false, .. } | Expr::Export { module, .. } => {
            found.insert(module.clone());
        }
        Expr::List(parts) => parts.iter().for_each(|part| collect_expr(part, found)),
        _ => {}
    }
}

/// Whether operations look at what their function was given.
pub(crate) fn takes(ops: &[Op]) -> bool {
    let arg = |expr: &Expr| match expr {
        Expr::List(parts) => parts.iter().any(|part| matches!(part, Expr::Arg { .. })),
        expr => matches!(expr, Expr::Arg { .. }),
    };
    ops.iter().any(|op| op.exprs().is_some_and(arg) || takes(op.inner()))
}
