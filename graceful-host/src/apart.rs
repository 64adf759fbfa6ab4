//! A thread and a runtime of its own, for what must be heard while scripts keep every other thread busy.

use std::future::Future;
use std::io;

use tokio::sync::oneshot;

/// Runs `task` apart. The receiver gets what it returned.
pub(crate) fn apart<T: Send + 'static>(
    name: &str,
    task: impl Future<Output = T> + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (done, result) = oneshot::channel();
    std::thread::Builder::new().name(format!("graceful-{name}")).spawn(move || {
        let _ = done.send(runtime.block_on(task));
    })?;
    Ok(result)
}
