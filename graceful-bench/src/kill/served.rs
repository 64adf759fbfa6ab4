//! One run of the `graceful` command, in a process of its own.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use graceful_host::AdminClient;

/// Longer than anything here takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A host that serves.
pub(super) struct Served {
    pub(super) child: Child,
    pub(super) address: SocketAddr,
    pub(super) admin: AdminClient,
}

impl Served {
    /// Starts it. `crash` says where it kills itself. `None`: it did so while it started.
    pub(super) async fn start(
        graceful: &Path,
        folder: &Path,
        crash: Option<&str>,
    ) -> io::Result<Option<Self>> {
        let log = folder.join(".log");
        let mut command = Command::new(graceful);
        command.arg("run").arg(folder).env_clear().args(["--listen", "127.0.0.1:0", "--log", "warn"]);
        command.arg("--admin").arg(folder.join(".admin.sock"));
        if let Some(crash) = crash {
            command.env("GRACEFUL_CRASH_AT", crash);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(File::create(&log)?).spawn()?;
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let ready = tokio::task::spawn_blocking(move || {
            let mut lines = lines.map_while(Result::ok);
            let address = lines.find_map(|line| line.split_once("http://")?.1.trim().parse().ok());
            if address.is_some() {
                // What it says later must not block it.
                std::thread::spawn(move || lines.for_each(drop));
            }
            address
        });
        match tokio::time::timeout(PATIENCE, ready).await? {
            Ok(Some(address)) => Ok(Some(Self { child, address, admin: super::admin(folder) })),
            _ => {
                let status = child.wait()?;
                if crash.is_some_and(|at| at.starts_with("start")) && status.signal() == Some(9) {
                    return Ok(None);
                }
                let said = fs::read_to_string(&log).unwrap_or_default();
                Err(io::Error::other(format!("it does not start again: {status}\n{said}")))
            }
        }
    }

    /// Kills it from outside.
    pub(super) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Whether it is over.
    pub(super) fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until it is over, which only a KILL may have done.
    pub(super) async fn was_killed(&mut self) -> io::Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match self.child.try_wait()? {
                Some(status) if status.signal() == Some(9) => return Ok(()),
                Some(status) => return Err(io::Error::other(format!("it ended by itself: {status}"))),
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        Err(io::Error::other("it neither answers nor ends"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
