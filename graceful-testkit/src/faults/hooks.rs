//! Faults in the hooks of native modules, which no backend stands around.

use std::sync::Arc;

use async_trait::async_trait;
use graceful_core::lifecycle::HookResult;
use graceful_core::{Hook, HookCx, HookError, Lifecycle};

use super::{Faults, Point};

impl Faults {
    /// The hooks of a native module, with faults.
    pub fn around(self: &Arc<Self>, hooks: impl Lifecycle + 'static) -> impl Lifecycle + 'static {
        Around { inner: hooks, faults: self.clone() }
    }
}

struct Around<L> {
    inner: L,
    faults: Arc<Faults>,
}

impl<L> Around<L> {
    async fn after(&self, hook: Hook, cx: &HookCx, result: HookResult) -> HookResult {
        result?;
        self.faults.meet(Point::Hook(hook.as_str()), &cx.module).await.map_err(HookError::from)
    }
}

#[async_trait]
impl<L: Lifecycle> Lifecycle for Around<L> {
    async fn init(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::Init, cx, self.inner.init(cx).await).await
    }
    async fn before_reload(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::BeforeReload, cx, self.inner.before_reload(cx).await).await
    }
    async fn after_reload(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::AfterReload, cx, self.inner.after_reload(cx).await).await
    }
    async fn rollback(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::Rollback, cx, self.inner.rollback(cx).await).await
    }
    async fn finalize(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::Finalize, cx, self.inner.finalize(cx).await).await
    }
}
