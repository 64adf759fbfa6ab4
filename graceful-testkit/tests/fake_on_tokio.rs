//! The reference backend on real time and threads.

use std::sync::Arc;

use graceful_core::Backend;
use graceful_testkit::{Capabilities, ClockKind, Dialect, Fake, FakeBackend, Subject};

struct OnTokio;

impl Subject for OnTokio {
    fn backend() -> Arc<dyn Backend> {
        FakeBackend::new()
    }

    fn dialect() -> &'static dyn Dialect {
        const { &Fake::named("fake") }
    }

    fn capabilities() -> Capabilities {
        Capabilities::ALL
    }

    fn clock() -> ClockKind {
        ClockKind::Tokio
    }
}

graceful_testkit::conformance!(OnTokio);
