//! The fake backend's part of a transaction.

use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use graceful_core::error::ScriptErrorKind;
use graceful_core::{Hook, HookCx, HookError, Manifest, Module, Place, ScriptError, StageCx, Txn, TxnCx};

use super::module::{FakeModule, FakeRoute};
use super::object::MapRef;
use super::room::{Room, failed};
use super::store::Store;
use super::text::Program;
use super::vm::{Overlay, Vm};

pub(crate) struct FakeTxn {
    vm: Arc<Vm>,
    cx: TxnCx,
    overlay: Arc<Overlay>,
}

impl FakeTxn {
    pub(crate) fn new(vm: Arc<Vm>, cx: TxnCx) -> Self {
        let overlay = vm.begin(cx.intents.clone());
        Self { vm, cx, overlay }
    }

    async fn top_level(&self, room: &Arc<Room>, cx: &StageCx) -> Result<Manifest, ScriptError> {
        let program = room.program.clone();
        for (name, line) in &program.requires {
            let place = Place { file: room.origin.clone(), line: Some(*line), column: None };
            let required = room.require(name, true).await;
            required.map_err(|error| if error.place.is_none() { error.at(place) } else { error })?;
        }
        let manifest = room.manifest()?;
        let module = FakeModule { room: room.clone(), manifest };
        if self.cx.start && module.manifest.hooks.init {
            self.initialise(room, cx).await?;
        }
        for (key, body) in &program.routes {
            let route = Arc::new(FakeRoute { room: room.clone(), body: body.clone() });
            cx.instance.scope.register("route", key, route)?;
        }
        room.run_body(&program.top).await?;
        Ok(module.manifest)
    }

    /// Runs `init` before the registration returns, as happens at a start only.
    async fn initialise(&self, room: &Arc<Room>, cx: &StageCx) -> Result<(), ScriptError> {
        let hook = |hook| HookCx {
            module: room.name.clone(),
            hook,
            generation: self.cx.generation,
            budget: self.cx.stage_budget,
        };
        cx.importer.initialising(&cx.source.name);
        let ran = room.hook(&["init"], &hook(Hook::Init)).await;
        ran.map_err(|HookError { message, place, timeout }| {
            let kind = if timeout { ScriptErrorKind::Timeout } else { ScriptErrorKind::Runtime };
            ScriptError { place, ..ScriptError::new(kind, message) }
        })?;
        let (room, finalize) = (room.clone(), hook(Hook::Finalize));
        let undo = move || async move { room.hook(&["finalize"], &finalize).await }.boxed();
        cx.importer.initialised(&cx.source.name, Box::new(undo));
        Ok(())
    }
}

#[async_trait]
impl Txn for FakeTxn {
    async fn stage(&self, cx: StageCx) -> Result<Arc<dyn Module>, ScriptError> {
        let program = cx.compiled.artifact.clone().downcast::<Program>().expect("compiled by this backend");
        let previous = cx.previous.as_ref().and_then(|module| module.as_any().downcast_ref::<FakeModule>());
        let store =
            previous.map_or_else(|| Store::Map(MapRef::default()), |module| module.room.store.clone());
        let room = Arc::new(Room {
            vm: self.vm.clone(),
            name: cx.source.name.clone(),
            origin: cx.source.origin.clone(),
            instance: Arc::downgrade(&cx.instance),
            store,
            program,
            version: OnceLock::new(),
            bound: Mutex::default(),
            args: Vec::new(),
            importer: Mutex::new(Some(cx.importer.clone())),
        });
        let clock = self.vm.clock().map_err(failed)?;
        let budget = cx.importer.over(&*clock, &room.name, self.cx.stage_budget);
        let ran = match select(self.top_level(&room, &cx).boxed(), budget).await {
            Either::Left((ran, _)) => ran,
            Either::Right(_) => {
                let error = ScriptError::new(ScriptErrorKind::Timeout, "the top level ran too long");
                Err(error.at(Place::file(&room.origin)))
            }
        };
        *room.importer.lock().unwrap() = None;
        let manifest = ran.map_err(|error| error.with_source(&cx.source.text))?;
        Ok(Arc::new(FakeModule { room, manifest }))
    }

    fn commit(&self, swap: &mut dyn FnMut()) {
        self.vm.commit(&self.overlay, swap);
    }

    fn rollback(&self) {
        self.vm.close(&self.overlay);
    }
}
