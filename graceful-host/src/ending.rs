//! The way down where code that cannot be interrupted is in the way: on threads it does not keep, and said aloud.

use std::time::Duration;

use graceful_core::ShutdownReport;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::host::Host;

/// How long the host's own threads may take to answer.
const ANSWER: Duration = Duration::from_secs(1);

/// How often it is said what the shutdown waits for.
const SAY: Duration = Duration::from_secs(2);

/// Threads for the engine where code keeps those it had.
pub(crate) struct Rescue {
    host: Host,
    before: Handle,
    runtime: Option<Runtime>,
}

impl Rescue {
    /// If code keeps an interpreter, or all of the host's threads, the engine goes on with others until this drops.
    pub(crate) async fn of(host: &Host) -> Option<Self> {
        let answers = tokio::time::timeout(ANSWER, host.0.runtime.spawn(tokio::time::sleep(Duration::ZERO)));
        let kept = host.engine().kept(ANSWER);
        if answers.await.is_ok() && kept.is_empty() {
            return None;
        }
        for (backend, kept) in kept {
            tracing::error!("at the shutdown: {backend}: {kept}");
        }
        // One for each step that may be in the way of the next.
        let runtime = Builder::new_multi_thread().worker_threads(8).enable_all().build().ok()?;
        let before = host.0.clock.move_to(runtime.handle().clone());
        Some(Self { host: host.clone(), before, runtime: Some(runtime) })
    }
}

impl Drop for Rescue {
    fn drop(&mut self) {
        self.host.0.clock.move_to(self.before.clone());
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// Says what `shutdown` waits for, now and then, until it is done.
pub(crate) async fn told(host: &Host, shutdown: impl Future<Output = ShutdownReport>) -> ShutdownReport {
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            report = &mut shutdown => return report,
            () = tokio::time::sleep(SAY) => {}
        }
        let leases = host.engine().world().gate.leases();
        let waits: Vec<String> = leases.iter().map(ToString::to_string).collect();
        let kept = host.engine().kept(ANSWER).into_iter().map(|(backend, kept)| format!("{backend}: {kept}"));
        let waits: Vec<String> = kept.chain(waits).collect();
        tracing::warn!(
            "the shutdown waits for {}",
            if waits.is_empty() { "modules".into() } else { waits.join(", ") }
        );
    }
}
