//! Rhai's part of a reload: runs each new top level once beside the live one, and makes its writes to state
//! live.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use graceful_core::{Module, Require, Resolved, ScriptError, StageCx, Txn, TxnCx, World};
use rhai::{AST, Caches, Dynamic, EvalAltResult, EvalContext, Expression, ImmutableString, Scope, Shared};

use crate::bulk::is_too_deep;
use crate::compile::Program;
use crate::error::{script_error, too_deep};
use crate::failure::{Thrown, thrown};
use crate::link::exports;
use crate::linked::Linked;
use crate::module::{RhaiModule, Tenure};
use crate::overlay::Overlay;
use crate::run::{guarded, off_thread};
use crate::unit::{Runtime, Unit};
use crate::watch::{Staging, Watch};

/// How many top levels run at once on a thread of the host's that is there for everybody. Counted and not timed, so
/// that a history that is played again is the same.
const SLICE: usize = 32;

/// One reload's part in Rhai.
pub(crate) struct RhaiTxn {
    runtime: Arc<Runtime>,
    cx: TxnCx,
    overlay: Arc<Overlay>,
}

impl RhaiTxn {
    pub(crate) fn new(runtime: Arc<Runtime>, cx: TxnCx) -> Self {
        Self { runtime, cx, overlay: Arc::default() }
    }
}

#[async_trait]
impl Txn for RhaiTxn {
    async fn stage(&self, cx: StageCx) -> Result<Arc<dyn Module>, ScriptError> {
        let program: Arc<Program> =
            cx.compiled.artifact.clone().downcast().expect("compiled by this backend");
        let previous = cx.previous.as_ref().and_then(|module| module.as_any().downcast_ref::<RhaiModule>());
        let fresh = || Arc::new(Tenure::new());
        let tenure = previous.map_or_else(fresh, |previous| previous.tenure().clone());
        let unit = Unit::new(self.runtime.clone(), &cx.instance, program, tenure.0.clone());
        let (overlay, start) = (self.overlay.clone(), self.cx.start);
        let staging = Staging { overlay, importer: Some(cx.importer.clone()), start };
        let budget = self.cx.stage_budget;
        // A little less than the budget: who stops by himself can tell where.
        let watch = Watch::default().within(budget - budget / 16).staged(staging);
        let world = self.runtime.world().map_err(|error| ScriptError::runtime(error.to_string()))?;
        let at_once = unit.program.plain && all_there(&world, &cx);
        let work = move || {
            let values = unit.run().map_err(|thrown| script_error(thrown, &unit.name, &*unit))?;
            let exports = exports(&unit, values);
            Ok::<_, ScriptError>(RhaiModule::new(unit, exports, tenure))
        };
        // Another thread costs more than all that such a top level does.
        let module = match at_once {
            true => guarded(|| watch.run(work)),
            false => off_thread(&*world.clock, watch, work).await,
        };
        Ok(Arc::new(module??))
    }

    fn slice(&self, work: &mut dyn FnMut() -> bool) {
        (0..SLICE).any(|_| !work());
    }

    fn commit(&self, swap: &mut dyn FnMut()) {
        self.overlay.commit(swap);
    }

    fn rollback(&self) {
        self.overlay.discard();
    }
}

/// Whether everything that the top level imports is there already, so that no import has to wait.
fn all_there(world: &World, cx: &StageCx) -> bool {
    let there = |require: &Require| {
        let found = world.resolve(&cx.instance, &require.name, || Some(require.place.clone()));
        matches!(found, Resolved::Settled(_) | Resolved::Pinned(_))
    };
    cx.compiled.requires.iter().filter(|require| !require.deferred).all(there)
}

impl Unit {
    /// Runs the top level, once, and keeps what it leaves behind. Gives the values it exports.
    fn run(self: &Arc<Self>) -> Thrown<rhai::Module> {
        let engine = &self.runtime.engine;
        let (mut frame, mut caches, mut variables) = (self.frame(None), Caches::new(), Scope::new());
        let body = Expression::from(&self.program.body);
        let mut cx = EvalContext::new(engine, &mut frame, &mut caches, &mut variables, None);
        #[allow(deprecated)]
        let result = cx.eval_expression_tree_raw(&body, false);
        let imports: Vec<(ImmutableString, Shared<rhai::Module>)> =
            frame.scan_imports_raw().map(|(name, module)| (name.clone(), module.clone())).collect();
        let deep = variables.iter_raw().find(|(_, _, value)| is_too_deep(value));
        let deep = deep.map(|(name, _, _)| thrown(format!("`{name}`: {}", too_deep())));
        let named: BTreeMap<ImmutableString, Dynamic> =
            variables.iter_raw().map(|(name, _, value)| (name.into(), value.clone())).collect();
        let mut linked = Linked { imports, variables: named };
        linked.share_constants();
        // Even after a failure: `finalize` of a module that was initialised needs them.
        let _ = self.linked.set(linked);
        if let Err(error) = result {
            let ended = matches!(*error, EvalAltResult::Return(..) | EvalAltResult::Exit(..));
            if !ended {
                return Err(error);
            }
        }
        if let Some(deep) = deep {
            return Err(deep);
        }
        // An empty tree adds nothing, but only this reads the names that `export` gave.
        let mut empty = engine.new_global_runtime_state();
        rhai::Module::eval_ast_as_new_raw(engine, &mut variables, &mut empty, &AST::empty())
    }
}

impl Linked {
    /// Rhai's own `global::NAME` takes a lock that it gives up on; a module of that name needs none.
    fn share_constants(&mut self) {
        let mut module = rhai::Module::new();
        for (name, value) in &self.variables {
            module.set_var(name.as_str(), value.clone());
        }
        module.build_index();
        self.imports.insert(0, ("global".into(), module.into()));
    }
}
