//! One loaded version of a puppet.

use std::any::Any;
use std::collections::BTreeSet;

use async_trait::async_trait;
use graceful_core::*;

use super::Play;

pub(super) struct PuppetModule {
    pub(super) manifest: Manifest,
    pub(super) play: Play,
}

impl PuppetModule {
    async fn run(&self, cx: &HookCx) -> Result<(), HookError> {
        match self.play.hooks.get(cx.hook.as_str()) {
            Some(hook) => hook(cx.clone()).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Lifecycle for PuppetModule {
    async fn init(&self, cx: &HookCx) -> Result<(), HookError> {
        self.run(cx).await
    }
    async fn before_reload(&self, cx: &HookCx) -> Result<(), HookError> {
        self.run(cx).await
    }
    async fn after_reload(&self, cx: &HookCx) -> Result<(), HookError> {
        self.run(cx).await
    }
    async fn rollback(&self, cx: &HookCx) -> Result<(), HookError> {
        self.run(cx).await
    }
    async fn finalize(&self, cx: &HookCx) -> Result<(), HookError> {
        self.run(cx).await
    }
}

#[async_trait]
impl Module for PuppetModule {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    async fn call(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        match self.play.functions.get(function).cloned() {
            Some(function) => function(args).await,
            None => {
                Err(CallError::BadValue { module: self.manifest.name.to_string(), reason: "none".into() })
            }
        }
    }
    async fn checkpoint(&self) -> Result<Checkpoint, HookError> {
        self.play.checkpoint.as_ref().map_or(Ok(()), |step| step())?;
        Ok(Box::new(()))
    }
    async fn restore(&self, _: &Checkpoint) -> Result<(), HookError> {
        self.play.restore.as_ref().map_or(Ok(()), |step| step())
    }
    fn kept(&self, candidates: &BTreeSet<u64>) -> BTreeSet<u64> {
        if self.play.kept { candidates.clone() } else { BTreeSet::new() }
    }
}
