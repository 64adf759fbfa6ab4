//! What the system tells a host: HUP reloads, TERM and INT end it, a second one at once.

use graceful_core::ReloadOptions;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::host::{Host, HostError};
use crate::options::Cause;
use crate::running::Running;

/// How a host that ran came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every connection and module ended by itself and in time.
    Clean,
    /// Something did not; it was left behind.
    Late,
    /// A second signal came before the first one was done with.
    AtOnce,
}

/// The signals, listened for from the moment this is made.
pub struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on: until then HUP, TERM and INT end the process as they always do.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Whether it is a hang-up.
    async fn hang_up_or_end(&mut self) -> bool {
        tokio::select! {
            _ = self.hang_up.recv() => true,
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => false,
        }
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Host {
    /// Loads the app and serves it until the process is told to end.
    ///
    /// # Errors
    /// As [`Host::start`].
    pub async fn run(&self) -> Result<Ended, HostError> {
        let signals = Signals::listen().map_err(|error| HostError::Setting(format!("signals: {error}")))?;
        Ok(self.start().await?.until(signals).await)
    }
}

impl Running {
    /// Serves until TERM or INT; HUP reloads meanwhile.
    pub async fn until(self, mut signals: Signals) -> Ended {
        loop {
            if !signals.hang_up_or_end().await {
                break;
            }
            // Told to whoever listens for reloads; the end must not wait for it.
            let host = self.host().clone();
            tokio::spawn(async move { host.reload(Cause::Signal, ReloadOptions::default()).await });
        }
        tokio::select! {
            clean = self.stop() => if clean { Ended::Clean } else { Ended::Late },
            () = signals.end() => Ended::AtOnce,
        }
    }
}
