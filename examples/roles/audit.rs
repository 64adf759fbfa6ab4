//! A role written in Rust: it counts what it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use graceful_core::lifecycle::HookResult;
use graceful_core::{Role, RoleCx, Value};

/// How often it was told what.
#[derive(Clone, Default)]
pub struct Audit {
    pub configurations: Arc<AtomicU64>,
    pub runs: Arc<AtomicU64>,
}

#[async_trait]
impl Role for Audit {
    fn dependencies(&self) -> &[&str] {
        &["storage"]
    }

    fn is_permanent(&self) -> bool {
        true
    }

    async fn init(&self, _cx: &RoleCx) -> HookResult {
        self.runs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn apply_config(&self, _conf: &Value, _cx: &RoleCx) -> HookResult {
        self.configurations.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
