//! The rounds of a storm: one edit each, good or bad, and one reload that has to end as the edit deserves.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use graceful_core::ReloadOptions;
use graceful_host::wire::{Failure, ReloadRequest, Summary};
use graceful_host::{AdminClient, Cause, Running};
use graceful_testkit::random::Random;

use super::app::{App, Break, MODULES, Tags};
use super::witness::Ledger;

/// The modules of roles.
const ROLES: [&str; 3] = ["pricing", "rates", "common"];

/// What was done so far.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Reloads that were to be committed, and were.
    pub committed: u64,
    /// Of those, the ones that stopped and started roles.
    pub roles: u64,
    /// Reloads that were to fail, and did, and left everything as it was.
    pub broken: u64,
    /// Reloads that ended otherwise than they had to.
    pub wrong: u64,
    /// How long calls were held for at most, and the reload took, in milliseconds.
    pub longest: (f64, f64),
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { committed, roles, broken, .. } = self;
        write!(
            f,
            "{committed} reloads ({roles} restarted roles), {broken} broken ones refused or rolled back"
        )
    }
}

/// Edits and reloads.
pub struct Rounds {
    /// The app.
    pub app: App,
    /// What was done so far.
    pub done: Done,
    running: Arc<Running>,
    admin: AdminClient,
    ledger: Arc<Ledger>,
    random: Random,
    number: u32,
    history: Vec<Tags>,
    /// Whether each reload is told.
    pub tells: bool,
}

/// How a reload is asked for.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Host,
    Admin,
    Roles,
}

impl Rounds {
    /// Rounds over an app that runs.
    pub fn new(app: App, running: Arc<Running>, ledger: Arc<Ledger>, seed: u64) -> Self {
        let admin =
            AdminClient::new(running.admin().expect("it has an admin socket"), Duration::from_secs(30));
        ledger.commit(app.tags);
        let history = vec![app.tags];
        let random = Random::new(seed);
        Self { app, done: Done::default(), running, admin, ledger, random, number: 1, history, tells: false }
    }

    /// One round.
    ///
    /// # Errors
    /// A file cannot be written.
    pub async fn round(&mut self) -> std::io::Result<()> {
        if self.random.chance(1, 3) {
            self.breaks().await?;
        } else if self.random.chance(1, 6) {
            self.reverts().await?;
        } else {
            self.edits();
            self.good().await?;
        }
        Ok(())
    }

    /// New tags for some modules, and sometimes a new version of the counter.
    fn edits(&mut self) {
        self.number += 1;
        let (some, from) = (1 + self.random.below(3), if self.random.chance(1, 4) { 4 } else { 0 });
        for _ in 0..some {
            let at = from + self.random.below(MODULES.len() - from);
            self.app.tags[at] = self.number;
        }
        if from == 0 && self.random.chance(1, 3) {
            self.app.version.1 = self.app.version.0 + 1;
        }
    }

    /// A change that cannot be made live; then a good one, so that what is left over would be seen.
    async fn breaks(&mut self) -> std::io::Result<()> {
        let how = loop {
            let how = *self.random.pick(&Break::ALL);
            if !how.is_slow() || self.random.chance(1, 8) {
                break how;
            }
        };
        let place = *self.random.pick(how.places());
        let good = self.app.tags;
        self.edits();
        if place == "counter" {
            // Its hooks run and its state is migrated in every such reload.
            self.app.version.1 = self.app.version.0 + 1;
        }
        if let Some(at) = MODULES.iter().position(|name| *name == place) {
            self.app.tags[at] = self.number;
        }
        self.app.break_it(place, how)?;
        let generation = self.generation();
        let ask = self.ask(Some(place));
        let began = Instant::now();
        match self.reload(ask).await {
            Err(failure) if failure.outcome != "stuck" && self.generation() == generation => {
                self.done.broken += 1;
            }
            Err(failure) => self.wrong(format!("{how:?} in {place}: {failure:?}")),
            Ok(summary) => self.wrong(format!("{how:?} in {place} was {}", summary.outcome)),
        }
        if began.elapsed() > Duration::from_secs(5) {
            self.wrong(format!("{how:?} in {place} took {:?}", began.elapsed()));
        }
        self.app.mend();
        self.app.tags = good;
        self.app.version.1 = self.app.version.0;
        if self.random.chance(1, 2) {
            self.edits();
        }
        self.good().await
    }

    /// Back to what was live a while ago.
    async fn reverts(&mut self) -> std::io::Result<()> {
        let back = 1 + self.random.below(4);
        self.app.tags = self.history[self.history.len().saturating_sub(1 + back)];
        self.good().await
    }

    async fn good(&mut self) -> std::io::Result<()> {
        self.app.write_all()?;
        let ask = self.ask(None);
        match self.reload(ask).await {
            Ok(summary) => self.committed(&summary, ask),
            Err(failure) => self.wrong(format!("a good reload: {failure:?}")),
        }
        Ok(())
    }

    fn committed(&mut self, summary: &Summary, ask: Ask) {
        self.app.committed();
        if summary.outcome != "committed" {
            return;
        }
        self.done.committed += 1;
        let restarts = summary.modules.iter().any(|change| ROLES.contains(&&*change.module));
        if matches!(ask, Ask::Roles) || restarts {
            self.done.roles += 1;
        }
        self.done.longest.0 = self.done.longest.0.max(summary.pause_ms);
        self.done.longest.1 = self.done.longest.1.max(summary.took_ms);
        self.history.push(self.app.tags);
        self.ledger.commit(self.app.tags);
    }

    fn wrong(&mut self, what: String) {
        self.done.wrong += 1;
        self.ledger.fail(what);
    }

    /// A reload of roles leaves alone what was loaded before them.
    fn ask(&mut self, broken: Option<&str>) -> Ask {
        let live = self.history.last().copied().unwrap_or_default();
        let roles = |name: &str| ROLES.contains(&name);
        let only_roles = broken.is_none_or(roles)
            && self.app.version.0 == self.app.version.1
            && MODULES.iter().enumerate().all(|(at, name)| roles(name) || live[at] == self.app.tags[at]);
        match self.random.below(8) {
            0..=3 if only_roles => Ask::Roles,
            0 => Ask::Admin,
            _ => Ask::Host,
        }
    }

    fn generation(&self) -> u64 {
        self.running.host().engine().status().generation
    }

    async fn reload(&self, ask: Ask) -> Result<Summary, Failure> {
        let result = self.asked(ask).await;
        if self.tells {
            let ended = match &result {
                Ok(summary) => format!("{} as {}", summary.outcome, summary.generation),
                Err(failure) => format!("{}: {}", failure.outcome, failure.message),
            };
            println!("{ask:?}: {:?}, counter {:?}: {ended}", self.app.tags, self.app.version);
        }
        result
    }

    async fn asked(&self, ask: Ask) -> Result<Summary, Failure> {
        let host = self.running.host();
        match ask {
            Ask::Host => host.reload(Cause::Embedder, ReloadOptions::default()).await,
            Ask::Roles => host.reload_roles(Cause::Embedder).await,
            Ask::Admin => {
                let reply = self.admin.reload(&ReloadRequest::default()).await;
                let reply = reply.unwrap_or_else(|error| panic!("the admin socket: {error}"));
                reply.reload.ok_or_else(|| reply.failure.expect("one of both"))
            }
        }
    }
}
