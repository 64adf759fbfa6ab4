//! A storm: an app that is edited, reloaded, broken and mended as fast as it goes, under load over HTTP.

pub mod app;
pub mod clients;
pub mod rounds;
pub mod witness;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use graceful_host::{Host, HostOptions, Running};

use crate::http::Connection;
use app::{App, Language};
use clients::{Crowd, Load};
use rounds::Rounds;
use witness::Ledger;

/// How often it is said how far it is.
const SAY: Duration = Duration::from_secs(10);

/// How long old code may take to go once the storm is over.
const REST: Duration = Duration::from_secs(20);

/// What a storm is like. It goes on until all three are reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Reloads that are committed.
    pub reloads: u64,
    /// Requests that are answered.
    pub requests: u64,
    /// How long it lasts at least.
    pub least: Duration,
    /// What the app is written in.
    pub language: Language,
    /// What edits and requests are drawn from. Two storms with one seed are alike and not the same: threads run as they run.
    pub seed: u64,
    /// Who asks.
    pub crowd: Crowd,
    /// Whether each reload is told.
    pub tells: bool,
}

/// How a storm ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Requests that were answered.
    pub requests: u64,
    /// Requests, connections and reloads that failed and should not have.
    pub failed: u64,
    /// Answers of more than one generation, or of one that cannot be.
    pub mixed: u64,
    /// Reloads that were committed.
    pub reloads: u64,
    /// Reloads that had to fail, and did, and left everything as it was.
    pub broken: u64,
}

impl Ended {
    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.failed + self.mixed == 0
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, failed, mixed, reloads, .. } = self;
        write!(f, "{requests} requests, {failed} failed, {mixed} mixed, {reloads} reloads")
    }
}

/// A whole storm. `say` is told how far it is.
///
/// # Errors
/// The app cannot be written or started.
pub async fn run(settings: &Settings, mut say: impl FnMut(String)) -> io::Result<Ended> {
    let app = App::new(settings.language)?;
    let mut options = HostOptions::default();
    options.listen = Some("127.0.0.1:0".to_owned());
    options.admin = Some(app.path().join(".admin.sock"));
    let host = Host::open(app.path(), options).map_err(io::Error::other)?;
    let running = Arc::new(host.start().await.map_err(io::Error::other)?);
    let address = running.address().ok_or_else(|| io::Error::other("it does not listen"))?;
    let ledger = Arc::<Ledger>::default();
    let mut rounds = Rounds::new(app, running.clone(), ledger.clone(), settings.seed);
    rounds.tells = settings.tells;
    let load = Load::start(address, settings.crowd, &ledger, settings.seed);
    let (began, mut said) = (Instant::now(), Instant::now());
    let answered = || ledger.answered.load(Ordering::Relaxed);
    while rounds.done.committed < settings.reloads
        || answered() < settings.requests
        || began.elapsed() < settings.least
    {
        rounds.round().await?;
        if said.elapsed() > SAY {
            said = Instant::now();
            say(format!("{:.0} s: {} requests, {}", began.elapsed().as_secs_f64(), answered(), rounds.done));
        }
    }
    let (counted, took) = (load.counted.clone(), began.elapsed());
    load.finish();
    let seen = Connection::open(address).await?.get("/seen", true).await?.1;
    let counted = counted.count();
    if seen != counted.to_string() {
        ledger.mix(format!("{counted} were counted and told, {seen} are in the state"));
    }
    at_rest(&running, &ledger).await;
    let (took, held) = (took.as_secs_f64(), rounds.done.longest.0);
    say(format!(
        "{took:.1} s, seed {}: {}, {counted} counted, calls held {held:.1} ms at most",
        settings.seed, rounds.done
    ));
    let (reloads, broken) = (rounds.done.committed, rounds.done.broken);
    drop(rounds);
    let clean = match Arc::into_inner(running) {
        Some(running) => running.stop().await,
        None => false,
    };
    if !clean {
        ledger.fail("the host did not end in order".to_owned());
    }
    let (failed, mixed) = (ledger.failed.load(Ordering::Relaxed), ledger.mixed.load(Ordering::Relaxed));
    Ok(Ended { requests: answered(), failed, mixed, reloads, broken })
}

/// After the storm nothing old is held, and as many tasks run as at the beginning.
async fn at_rest(running: &Running, ledger: &Ledger) {
    let began = Instant::now();
    loop {
        let status = running.host().engine().status();
        let held = status.modules.iter().any(|module| !module.held.is_empty() || module.in_flight > 0);
        let tasks: usize = status.modules.iter().map(|module| module.tasks).sum();
        if !held && tasks == 2 && status.leaks.is_empty() {
            return;
        }
        if began.elapsed() > REST {
            return ledger.fail(format!("{tasks} tasks instead of 2, or old code is held: {status:?}"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
