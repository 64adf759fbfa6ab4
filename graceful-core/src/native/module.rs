//! One loaded version of a native module.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::migration::{Entries, NativeDraft, Steps};
use super::{Callee, State};
use crate::error::CallError;
use crate::gate::Generation;
use crate::lease::Lease;
use crate::lifecycle::{HookCx, HookError, HookResult, Lifecycle};
use crate::manifest::Manifest;
use crate::migration::MigrationCx;
use crate::module::{Checkpoint, Draft, Module};
use crate::value::Value;

pub(super) struct NativeModule {
    pub(super) manifest: Manifest,
    pub(super) state: Arc<State>,
    pub(super) lifecycle: Arc<dyn Lifecycle>,
    pub(super) steps: Steps,
    pub(super) functions: BTreeMap<String, Callee>,
}

impl NativeModule {
    fn callee(&self, function: &str) -> Result<&Callee, CallError> {
        self.functions.get(function).ok_or_else(|| CallError::NoExport {
            module: self.manifest.name.to_string(),
            export: function.to_owned(),
            generation: Lease::current_generation().unwrap_or(Generation(0)).0,
        })
    }
}

#[async_trait]
impl Lifecycle for NativeModule {
    async fn init(&self, cx: &HookCx) -> HookResult {
        self.lifecycle.init(cx).await
    }
    async fn before_reload(&self, cx: &HookCx) -> HookResult {
        self.lifecycle.before_reload(cx).await
    }
    async fn after_reload(&self, cx: &HookCx) -> HookResult {
        self.lifecycle.after_reload(cx).await
    }
    async fn rollback(&self, cx: &HookCx) -> HookResult {
        self.lifecycle.rollback(cx).await
    }
    async fn finalize(&self, cx: &HookCx) -> HookResult {
        self.lifecycle.finalize(cx).await
    }
}

#[async_trait]
impl Module for NativeModule {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn call(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        match self.callee(function)? {
            Callee::Sync(function) => function(args),
            Callee::Async(function) => function(args).await,
        }
    }

    fn call_blocking(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        match self.callee(function)? {
            Callee::Sync(function) => function(args),
            Callee::Async(_) => {
                let reason = format!("`{function}` is asynchronous and was called where nothing can wait");
                Err(CallError::BadValue { module: self.manifest.name.to_string(), reason })
            }
        }
    }

    async fn checkpoint(&self) -> Result<Checkpoint, HookError> {
        Ok(Box::new(self.state.snapshot()))
    }

    async fn restore(&self, checkpoint: &Checkpoint) -> Result<(), HookError> {
        let map = checkpoint.downcast_ref::<Entries>();
        self.state.restore(map.ok_or("not a checkpoint of a native module")?.clone());
        Ok(())
    }

    fn save(&self) -> Value {
        Value::Map(self.state.snapshot())
    }

    async fn draft(&self, recorded: Option<&Value>) -> Result<Draft, HookError> {
        let now = match recorded {
            None => self.state.snapshot(),
            Some(Value::Map(entries)) => entries.clone(),
            Some(other) => return Err(format!("a state is a map, got {}", other.kind()).into()),
        };
        Ok(Box::new(NativeDraft { was: now.clone(), now }))
    }

    async fn migrate(&self, cx: &MigrationCx, draft: Draft) -> Result<Draft, HookError> {
        Ok(Box::new(self.steps.take(cx, own(draft)?).await?))
    }

    fn pour(&self, draft: Draft) -> Result<Checkpoint, HookError> {
        let NativeDraft { was, now } = own(draft)?;
        Ok(Box::new(self.state.pour(&was, now)))
    }

    fn save_draft(&self, draft: &Draft) -> Value {
        draft.downcast_ref::<NativeDraft>().map(|draft| Value::Map(draft.now.clone())).unwrap_or_default()
    }
}

fn own(draft: Draft) -> Result<NativeDraft, HookError> {
    draft.downcast().map(|draft| *draft).map_err(|_| "not a draft of a native module".into())
}
