//! The console: a line that a person typed, evaluated in the live app as a call of its own.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use graceful_core::error::ScriptErrorKind;
use graceful_core::{CallError, ReloadOptions, Report, ScriptError, Source};
use rhai::{
    Caches, Dynamic, EvalAltResult, EvalContext, Expression, ImmutableString, Module, NativeCallContext,
    Scope,
};

use crate::compile::{Program, Reading, compile};
use crate::failure::{Failure, Thrown, fail, placed, thrown};
use crate::monitor;
use crate::run::off_thread;
use crate::session::{CONSOLE, Session};
use crate::unit::{Runtime, Unit, here, stopped};
use crate::watch::Watch;
use crate::{error, reload, shape, show};

thread_local! {
    /// What the line that runs on this thread printed.
    static PRINTED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Keeps what a line of the console prints; gives back what anybody else does.
pub(crate) fn print(text: &str) -> Option<&str> {
    PRINTED.with_borrow_mut(|printed| match printed {
        Some(printed) => {
            printed.push(text.to_owned());
            None
        }
        None => Some(text),
    })
}

/// What only lines of the console can call.
pub(crate) fn module() -> Module {
    let mut module = Module::new();
    module.set_native_fn("dofile", |cx: NativeCallContext, path: ImmutableString| {
        placed(&cx, dofile(&cx, &path))
    });
    module.build_index();
    module
}

/// `dofile("main.rhai")`, the file of a module: what changed is reloaded, it and everything below it.
fn dofile(cx: &NativeCallContext, path: &str) -> Thrown<()> {
    let unit = here(cx)?;
    let path = path.trim_start_matches("./");
    let live = unit.runtime.world().map_err(fail)?.live_all();
    let is_module = live.iter().any(|instance| {
        let origin = instance.source.origin.as_str();
        path == origin || path.strip_suffix(origin).is_some_and(|folder| folder.ends_with('/'))
    });
    if !is_module {
        return Err(thrown(format!("`{path}` is no module of this app")));
    }
    let done = reload::run(&unit, ReloadOptions::default())?;
    let report = done.map_err(|error| fail(Failure::from(&error)))?;
    let _ = print(&spoken(&report));
    Ok(())
}

/// A report in one line.
fn spoken(report: &Report) -> String {
    let module = |module: &graceful_core::ModuleReport| {
        let versions = match (&module.old, &module.new) {
            (old, Some(new)) if old.as_ref() != Some(new) => {
                format!(" {} -> {new}", old.as_ref().map_or("new".to_owned(), ToString::to_string))
            }
            _ => String::new(),
        };
        format!("{} {}{versions} ({})", shape::word(module.action), module.module, module.reason)
    };
    let modules: Vec<String> = report.modules.iter().map(module).collect();
    let text = format!("{}, generation {}", report.outcome.as_str(), report.generation);
    if modules.is_empty() { text } else { format!("{text}: {}", modules.join(", ")) }
}

/// Evaluates `line`, an expression or statements. Gives what it printed, then what it returned, as text.
pub(crate) async fn evaluate(
    runtime: &Arc<Runtime>,
    line: &str,
    limit: Duration,
) -> Result<Vec<String>, CallError> {
    let (world, control) = (runtime.world()?, runtime.control()?);
    let source = Source::new(CONSOLE, crate::RHAI, CONSOLE, line.as_bytes().to_vec());
    let compiled = compile(&runtime.engine, Reading { strict: false, ..runtime.reading }, &source)
        .map_err(|error| half(error, line))?;
    let program: Arc<Program> = compiled.artifact.downcast().expect("compiled by this backend");
    let session = Ended(Arc::default());
    let unit = Unit::line(runtime.clone(), program, session.0.clone());
    let lease = control.admit(CONSOLE.into()).await?;
    let watch = Watch::call(Some(lease.clone())).within(limit);
    let work = move || {
        PRINTED.set(Some(Vec::new()));
        let result = unit.evaluate();
        let mut said = PRINTED.take().unwrap_or_default();
        let returned = result.map_err(|thrown| error::call_error(thrown, CONSOLE, &*unit))?;
        said.extend(returned);
        Ok(said)
    };
    let asked = lease.clone();
    let result = lease.scope(off_thread(&*world.clock, watch, work)).await;
    drop(session);
    match result {
        Ok(Ok(Ok(said))) => Ok(said),
        Ok(Ok(Err(CallError::Cancelled { .. }))) if asked.is_cancelled() => {
            let message = format!("ran longer than {limit:?} and was cancelled");
            Err(CallError::Script(ScriptError::new(ScriptErrorKind::Timeout, message)))
        }
        Ok(Ok(Err(error))) => Err(error),
        Ok(Err(lost)) => Err(CallError::Script(lost)),
        Err(cancelled) => Err(cancelled),
    }
}

/// Half a line says that it ends too early, in Lua's words: whoever asks may type on.
fn half(mut error: ScriptError, line: &str) -> ScriptError {
    let last = line.lines().last().unwrap_or_default().trim_end();
    let end = (line.lines().count() as u32, last.chars().count() as u32);
    let at = error.place.as_ref().and_then(|place| Some((place.line?, place.column?)));
    if at.is_none_or(|at| at > end) {
        error.message.push_str(" near <eof>");
    }
    error
}

/// A line is over, however that came: the functions it made may live on, its leases may not.
struct Ended(Arc<Session>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl Unit {
    /// Runs a line, and shows what it ends with.
    fn evaluate(self: &Arc<Self>) -> Thrown<Option<String>> {
        let _stay = monitor::enter(&self.common.monitor).map_err(stopped)?;
        let engine = &self.runtime.engine;
        let (mut frame, mut caches, mut variables) = (self.frame(None), Caches::new(), Scope::new());
        let body = Expression::from(&self.program.body);
        let mut cx = EvalContext::new(engine, &mut frame, &mut caches, &mut variables, None);
        #[allow(deprecated)]
        let result = cx.eval_expression_tree_raw(&body, false);
        crate::cell::settle();
        match result.map_err(|error| *error) {
            Ok(value) | Err(EvalAltResult::Return(value, _) | EvalAltResult::Exit(value, _)) => {
                let mut said = |value: &Dynamic| {
                    let text = cx.call_native_fn_raw("to_string", true, &mut [&mut value.clone()]);
                    text.ok().and_then(|text| text.into_string().ok())
                };
                let value = value.flatten();
                Ok((!value.is_unit()).then(|| show::value(&value, &mut said)))
            }
            Err(error) => Err(error.into()),
        }
    }
}
