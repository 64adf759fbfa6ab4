//! What the system tells a host: HUP reloads, TERM and INT end it, a second one at once.

use std::io;
use std::time::Duration;

use graceful_core::{ReloadOptions, ShutdownOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::apart::apart;
use crate::host::{Host, HostError};
use crate::options::Cause;
use crate::running::Running;

/// How long a host that is run may take to end after the first TERM or INT.
const PATIENCE: Duration = Duration::from_secs(60);

enum Told {
    HangUp,
    End,
}

/// The signals, listened for on a thread of their own, so that they are heard whatever the others do.
pub struct Signals {
    told: UnboundedReceiver<Told>,
    _until_dropped: DropGuard,
}

impl Signals {
    /// Listens from now on; until then HUP, TERM and INT end the process as they always do. The second TERM or
    /// INT, or `patience` after the first one, calls `at_once`, which should end the process.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn listen(patience: Duration, at_once: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (tell, told) = unbounded_channel();
        let (ready, listening) = oneshot::channel();
        let done = CancellationToken::new();
        let until = done.clone();
        apart("signals", async move {
            tokio::select! {
                () = until.cancelled() => {}
                ended = hear(tell, ready, patience) => if ended { at_once() },
            }
        })?;
        listening.await.unwrap_or_else(|_| Err(io::Error::other("the thread for signals ended")))?;
        Ok(Self { told, _until_dropped: done.drop_guard() })
    }
}

/// Returns whether the process is to end at once.
async fn hear(
    tell: UnboundedSender<Told>,
    ready: oneshot::Sender<io::Result<()>>,
    patience: Duration,
) -> bool {
    let all = (|| {
        let of = |kind| signal(kind);
        Ok((of(SignalKind::hangup())?, of(SignalKind::terminate())?, of(SignalKind::interrupt())?))
    })();
    let (mut hang_up, mut terminate, mut interrupt) = match all {
        Ok(all) => all,
        Err(error) => {
            let _ = ready.send(Err(error));
            return false;
        }
    };
    let _ = ready.send(Ok(()));
    loop {
        tokio::select! {
            _ = hang_up.recv() => { let _ = tell.send(Told::HangUp); }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    let _ = tell.send(Told::End);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = tokio::time::sleep(patience) => {}
    }
    true
}

impl Host {
    /// Loads the app and serves it until the process is told to end. Ends the process itself if it is told so
    /// twice. Returns whether everything ended by itself and in time.
    ///
    /// # Errors
    /// As [`Host::start`].
    pub async fn run(&self) -> Result<bool, HostError> {
        let signals = Signals::listen(PATIENCE, || std::process::exit(1)).await;
        let signals = signals.map_err(|error| HostError::Setting(format!("signals: {error}")))?;
        self.serve(signals, |_| ()).await
    }

    /// Loads the app, says so to `ready`, and serves until `signals` tell to end; a start that is told so is undone. Returns
    /// whether everything ended by itself and in time.
    ///
    /// # Errors
    /// As [`Host::start`].
    pub async fn serve(
        &self,
        mut signals: Signals,
        ready: impl FnOnce(&Running) + Send,
    ) -> Result<bool, HostError> {
        let running = {
            let start = self.start();
            tokio::pin!(start);
            loop {
                tokio::select! {
                    started = &mut start => break started?,
                    told = signals.told.recv() => match told {
                        // What is on disk is being loaded.
                        Some(Told::HangUp) => {}
                        Some(Told::End) | None => {
                            tracing::info!("told to end during the start, which is undone");
                            return Ok(self.shutdown(ShutdownOptions::default()).await.is_clean());
                        }
                    },
                }
            }
        };
        ready(&running);
        Ok(running.until(signals).await)
    }
}

impl Running {
    /// Serves until TERM or INT, or until somebody shuts the engine down, then [stops](Running::stop); HUP reloads
    /// meanwhile.
    pub async fn until(self, mut signals: Signals) -> bool {
        let ending = self.host().0.ending.clone();
        loop {
            let told = tokio::select! {
                told = signals.told.recv() => told,
                () = ending.cancelled() => break,
            };
            let Some(Told::HangUp) = told else { break };
            // Told to whoever listens for reloads; the end must not wait for it.
            let host = self.host().clone();
            tokio::spawn(async move { host.reload(Cause::Signal, ReloadOptions::default()).await });
        }
        self.stop().await
    }
}
