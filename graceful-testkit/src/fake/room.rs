//! One loaded version of a script, and the running of its operations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use graceful_core::error::ScriptErrorKind;
use graceful_core::{CallError, Importer, Instance, Lease, Name, Place, ScriptError, Value};

use super::object::Object;
use super::store::Store;
use super::task::Task;
use super::text::{Body, Program};
use super::turn::Turns;
use super::vm::Vm;
use crate::op::{Expr, Op};

/// What running an operation gives: `Some` once the function has returned.
pub(crate) type Flow = Result<Option<Object>, ScriptError>;

/// How many elements a script may hold before its memory is said to be full.
const MEMORY: usize = 1 << 16;
/// How often something that waits or spins looks up.
const LOOK: Duration = Duration::from_millis(1);

/// One loaded version of a script.
pub(crate) struct Room {
    pub(crate) vm: Arc<Vm>,
    pub(crate) name: Name,
    pub(crate) origin: String,
    /// Weak, because the instance owns the module that owns this.
    pub(crate) instance: Weak<Instance>,
    pub(crate) store: Store,
    pub(crate) program: Arc<Program>,
    /// The version it registered.
    pub(crate) version: OnceLock<String>,
    /// What its top level required, as it was then.
    pub(crate) bound: Mutex<BTreeMap<String, Arc<Instance>>>,
    /// What the function that runs was given.
    pub(crate) args: Vec<Value>,
    /// There while its top level runs.
    pub(crate) importer: Mutex<Option<Arc<dyn Importer>>>,
}

/// A function kept in a state: it stays the code it is, and keeps its instance.
pub(crate) struct Kept {
    room: Arc<Room>,
    _instance: Arc<Instance>,
    ops: Vec<Op>,
}

impl Room {
    pub(crate) fn instance(&self) -> Result<Arc<Instance>, ScriptError> {
        self.instance.upgrade().ok_or_else(|| ScriptError::runtime("the module was purged"))
    }

    /// The same code, on this state and with these arguments.
    pub(crate) fn with(&self, store: Store, args: Vec<Value>) -> Arc<Self> {
        Arc::new(Self {
            vm: self.vm.clone(),
            name: self.name.clone(),
            origin: self.origin.clone(),
            instance: self.instance.clone(),
            store,
            program: self.program.clone(),
            version: self.version.clone(),
            bound: Mutex::new(self.bound.lock().unwrap().clone()),
            args,
            importer: Mutex::default(),
        })
    }

    /// Runs a body and gives what it returned; an error gets the place of the operation that threw it.
    pub(crate) async fn run_body(self: &Arc<Self>, body: &Body) -> Result<Object, ScriptError> {
        Turns::of(&self.vm, self.lines(body)).await
    }

    async fn lines(self: &Arc<Self>, body: &Body) -> Result<Object, ScriptError> {
        for (op, line) in body.ops.iter().zip(&body.lines) {
            let ran = self.run(std::slice::from_ref(op)).await;
            let place = || Place { file: self.origin.clone(), line: Some(*line), column: None };
            match ran.map_err(|error| if error.place.is_none() { error.at(place()) } else { error })? {
                Some(data) => return Ok(data),
                None => continue,
            }
        }
        Ok(Object::default())
    }

    pub(crate) fn run<'a>(self: &'a Arc<Self>, ops: &'a [Op]) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            for op in ops {
                if let Some(data) = self.step(op).await? {
                    return Ok(Some(data));
                }
            }
            Ok(None)
        })
    }

    async fn step(self: &Arc<Self>, op: &Op) -> Flow {
        match op {
            Op::Set { key, value } => {
                let data = self.eval(value).await?;
                self.store.set(&self.vm, key, data)?;
            }
            Op::Make { key, class } => self.store.set(&self.vm, key, object(class))?,
            Op::Inc { key } => self.store.inc(&self.vm, key)?,
            Op::Push { key, value } => {
                let data = self.eval(value).await?;
                self.store.push(&self.vm, key, data)?;
            }
            Op::SetGlobal { name, value } => {
                let data = self.eval(value).await?;
                self.vm.set_global(&self.instance()?.scope, name, data);
            }
            Op::Do(expr) => drop(self.eval(expr).await?),
            Op::Note(expr) => {
                let said = self.plain(expr).await?;
                self.note(said).await?;
            }
            Op::Return(expr) => return self.eval(expr).await.map(Some),
            Op::Try(body) => drop(self.run(body).await),
            Op::Keep { key, body } => {
                let kept = Kept { room: self.clone(), _instance: self.instance()?, ops: body.clone() };
                self.store.set(&self.vm, key, Object::Function(Arc::new(kept)))?;
            }
            Op::Spawn { keep, forever, body } => self.spawn(keep.as_deref(), *forever, body)?,
            Op::Own { key, release } => self.own(key, release)?,
            Op::Cancel { key } => self.cancel(key)?,
            Op::Throw { message } => return Err(ScriptError::runtime(message.as_str())),
            Op::Hog => {
                let mut hog = Vec::new();
                while hog.len() < MEMORY {
                    hog.push(Object::default());
                }
                return Err(ScriptError::new(ScriptErrorKind::Memory, "not enough memory"));
            }
            Op::Yield => self.sleep(Duration::ZERO).await?,
            Op::Sleep { ms } => self.sleep(Duration::from_millis(*ms)).await?,
            // What spins here gives way to its clock now and then, or nothing could stop it.
            Op::Spin => loop {
                self.sleep(LOOK).await?;
            },
            Op::Wait { latch } => {
                while self.is_shut(latch).await? {
                    self.sleep(LOOK).await?;
                }
            }
            Op::Require { module } => drop(self.require(module, false).await?),
            Op::Reload => self.reload().await?,
            Op::Unregister { module } => self.unregister(module).await?,
        }
        Ok(None)
    }

    async fn sleep(&self, duration: Duration) -> Result<(), ScriptError> {
        self.vm.clock().map_err(failed)?.sleep(duration).await;
        Ok(())
    }

    pub(crate) fn eval<'a>(
        self: &'a Arc<Self>,
        expr: &'a Expr,
    ) -> BoxFuture<'a, Result<Object, ScriptError>> {
        Box::pin(async move {
            Ok(match expr {
                Expr::Lit(value) => value.clone().into(),
                Expr::State(path) => self.store.get(&self.vm, path),
                Expr::Arg { at, key } => {
                    let given = self.args.get(*at);
                    let found = key.split('.').try_fold(given, |value, key| Some(value?.get(key)));
                    found.flatten().cloned().unwrap_or_default().into()
                }
                Expr::Global(name) => self.vm.global(name),
                Expr::Name => Object::Plain(self.name.as_str().into()),
                Expr::Version => Object::Plain(self.version.get().map_or(Value::Null, |v| v.as_str().into())),
                Expr::Call { module, function, dynamic } => self.call(module, function, *dynamic).await?,
                Expr::Export { module, name } => self.exported(module, name).await?,
                Expr::Kept(key) => match self.store.get(&self.vm, key) {
                    Object::Function(kept) => kept.room.run(&kept.ops).await?.unwrap_or_default(),
                    _ => return Err(ScriptError::runtime(format!("the state has no function at `{key}`"))),
                },
                Expr::Method { key, method } => self.method(key, method).await?,
                Expr::List(parts) => {
                    let mut values = Vec::new();
                    for part in parts {
                        values.push(match self.plain(part).await? {
                            Value::Null => "none".into(),
                            value => value,
                        });
                    }
                    Value::List(values).into()
                }
            })
        })
    }

    /// Calls a method of the version that the running call sees; a top level sees its own.
    async fn method(self: &Arc<Self>, key: &str, method: &str) -> Result<Object, ScriptError> {
        let Object::Map(fields) = self.store.get(&self.vm, key) else {
            return Err(ScriptError::runtime(format!("the state has no object at `{key}`")));
        };
        let class = fields.get(CLASS).to_value().and_then(|class| class.as_str().map(str::to_owned));
        let room = self.seen().map_err(failed)?.unwrap_or_else(|| self.clone());
        let found = class.and_then(|class| room.program.methods.get(&(class, method.to_owned())).cloned());
        match found {
            Some(body) => Ok(room.run(&body.ops).await?.unwrap_or_default()),
            None => Err(ScriptError::runtime(format!("the object at `{key}` has no method `{method}`"))),
        }
    }

    /// The version of this module that the running call sees.
    fn seen(&self) -> Result<Option<Arc<Room>>, CallError> {
        let world = self.vm.world()?;
        let generation = Lease::current_generation().unwrap_or_else(|| world.gate.live());
        let staged = self.importer.lock().unwrap().is_some();
        let seen = world.instance_at(&self.name, generation).filter(|_| !staged);
        let module = seen.and_then(|instance| instance.module().cloned());
        let module =
            module.as_ref().and_then(|module| module.as_any().downcast_ref::<super::module::FakeModule>());
        Ok(module.map(|module| module.room.clone()))
    }

    /// What `expr` gives, as plain data.
    async fn plain(self: &Arc<Self>, expr: &Expr) -> Result<Value, ScriptError> {
        let data = self.eval(expr).await?;
        data.to_value().filter(|_| data.is_plain()).ok_or_else(|| ScriptError::runtime("not plain data"))
    }

    fn spawn(self: &Arc<Self>, keep: Option<&str>, forever: bool, body: &[Op]) -> Result<(), ScriptError> {
        let (room, instance, body) = (self.clone(), self.instance()?, body.to_vec());
        let scope = instance.scope.clone();
        let world = self.vm.world().map_err(failed)?;
        let run = async move {
            // The code a task runs stays loaded as long as the task.
            let _instance = instance;
            while Turns::of(&room.vm, room.run(&body)).await.is_ok() && forever {}
        };
        let task = Task::new(&world, &self.name, run.boxed());
        if let Some(key) = keep {
            self.store.set(&self.vm, key, Object::Task(task.clone()))?;
        }
        scope.add(task).map_err(|replaced| ScriptError::runtime(replaced.to_string()))
    }

    fn cancel(&self, key: &str) -> Result<(), ScriptError> {
        match self.store.get(&self.vm, key) {
            Object::Task(task) => self.instance()?.scope.defer(move || task.cancel()),
            _ => return Err(ScriptError::runtime(format!("the state has no task at `{key}`"))),
        }
        Ok(())
    }
}

/// The entry that says an object's class.
const CLASS: &str = "class";

/// An object of `class`.
fn object(class: &str) -> Object {
    Value::Map([(CLASS.to_owned(), class.into())].into()).into()
}

/// A failed call as the script that made it sees it.
pub(crate) fn failed(error: CallError) -> ScriptError {
    match error {
        CallError::Script(error) => error,
        other => ScriptError::runtime(other.to_string()),
    }
}
