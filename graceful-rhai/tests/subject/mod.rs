//! This backend, as the suite of the testkit knows it.

use std::sync::Arc;

use graceful_core::Backend;
use graceful_rhai::{Limits, RhaiBackend};
use graceful_testkit::dialect::Rhai;
use graceful_testkit::{Capabilities, ClockKind, Dialect, Subject};

/// The backend under test.
pub struct RhaiSubject;

impl Subject for RhaiSubject {
    fn backend() -> Arc<dyn Backend> {
        // Rhai counts no bytes: what takes memory for ever is stopped by sizes.
        let limits = Limits { array_size: Some(1 << 10), ..Limits::default() };
        RhaiBackend::builder().limits(limits).build()
    }

    fn dialect() -> &'static dyn Dialect {
        &Rhai
    }

    fn capabilities() -> Capabilities {
        // Rhai has no globals; its calls can always wait, so that no reload has to be queued.
        Capabilities { globals: false, queues: false, ..Capabilities::ALL }
    }

    fn clock() -> ClockKind {
        ClockKind::Tokio
    }
}
