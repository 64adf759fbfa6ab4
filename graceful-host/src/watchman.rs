//! Looks out for code that keeps an interpreter although it was cancelled, from a thread of its own, and says so.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::apart::apart;
use crate::host::{Host, Inner};
use crate::settings;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(200);

/// How long code that was cancelled may take to end, if it can be interrupted at all.
const GRACE: Duration = Duration::from_secs(1);

/// Looks until the host is gone.
pub(crate) fn begin(host: &Host) -> std::io::Result<()> {
    let (weak, most) = (Arc::downgrade(&host.0), settings::turn(&host.app()) + GRACE);
    apart("watchman", look(weak, most)).map(drop)
}

async fn look(host: Weak<Inner>, most: Duration) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(host) = host.upgrade() else { return };
        let kept = host.engine.kept(most);
        let kept =
            kept.first().map(|(backend, kept)| format!("{backend}: {kept}, and nothing interrupts it"));
        let was = host.kept.send_replace(kept.clone());
        match (was, kept) {
            (None, Some(kept)) => tracing::error!("{kept}: whoever needs it waits"),
            (Some(_), None) => tracing::warn!("the interpreter is free again"),
            _ => {}
        }
    }
}

/// Ends when code keeps an interpreter, and says which.
pub(crate) async fn is_kept(kept: &mut watch::Receiver<Option<String>>) -> String {
    match kept.wait_for(Option::is_some).await.map(|kept| kept.clone()) {
        Ok(Some(kept)) => kept,
        _ => std::future::pending().await,
    }
}
