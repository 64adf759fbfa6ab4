//! A host that is killed between every two steps of what it does, and has to start again whole.

mod served;
mod watch;

use std::fmt;
use std::io;
use std::path::PathBuf;

use graceful_core::Value;
use graceful_host::AdminClient;
use graceful_host::wire::{ConfigRequest, ReloadRequest};
use graceful_testkit::random::Random;

use crate::storm::app::{App, Break, Language, MODULES};
use served::{PATIENCE, Served};
use watch::Watch;

/// What is killed how often.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The `graceful` command.
    pub graceful: PathBuf,
    /// What the app is written in.
    pub language: Language,
    /// How many kills, at least.
    pub kills: u64,
    /// Every how many steps; 1 is every one.
    pub stride: u64,
    /// What edits and times are drawn from.
    pub seed: u64,
}

/// How it ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// How often the host was killed.
    pub kills: u64,
    /// Of those, in the middle of a reload, as the history tells it.
    pub interrupted: u64,
    /// What was wrong after a start.
    pub wrong: Vec<String>,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, interrupted, wrong } = self;
        write!(f, "{kills} kills, {interrupted} reloads interrupted, {} wrong", wrong.len())
    }
}

/// What the host is doing when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// A reload that commits: hooks, a migration, roles that stop and start.
    Reload,
    /// One that is rolled back once the roles are stopped.
    Broken,
    /// A reload of all roles.
    Roles,
    /// A configuration is applied.
    Apply,
    /// The app starts.
    Start,
    /// A reload that commits, killed from outside, after a time that is drawn.
    AnyTime,
}

const STEPPED: [Doing; 5] = [Doing::Reload, Doing::Broken, Doing::Roles, Doing::Apply, Doing::Start];

struct Killer {
    settings: Settings,
    app: App,
    random: Random,
    watch: Watch,
    edits: u32,
    ended: Ended,
}

/// Kills the host at every step of everything it does, and looks at it after each start. `say` is told how far it is.
///
/// # Errors
/// The app cannot be written, or the command cannot be run or does not kill itself: it was built without its feature `crash`.
pub async fn run(settings: &Settings, mut say: impl FnMut(String)) -> io::Result<Ended> {
    let app = App::new(settings.language)?;
    let random = Random::new(settings.seed);
    let (watch, ended) = (Watch::default(), Ended::default());
    let mut killer = Killer { settings: settings.clone(), app, random, watch, edits: 1, ended };
    let mut left: Vec<(Doing, u64)> = STEPPED.map(|doing| (doing, 1)).into();
    let mut done = 0;
    while killer.ended.kills < settings.kills || (settings.stride == 1 && !left.is_empty()) {
        if left.is_empty() {
            killer.once(Doing::AnyTime, 0).await?;
        } else {
            let at = done % left.len();
            let (doing, step) = left[at];
            done += 1;
            if killer.once(doing, step).await? {
                left[at].1 += settings.stride;
            } else {
                say(format!("{doing:?} has fewer than {step} steps; {}", killer.ended));
                if step == 1 {
                    return Err(io::Error::other(
                        "the command does not kill itself: build it with its feature `crash`",
                    ));
                }
                left.remove(at);
            }
        }
    }
    let served = killer.start(None).await?.ok_or_else(|| io::Error::other("it does not start"))?;
    served.kill()?;
    Ok(killer.ended)
}

impl Killer {
    /// One kill. Returns whether there was one: the last step may be over.
    async fn once(&mut self, doing: Doing, step: u64) -> io::Result<bool> {
        let from = if doing == Doing::Start { "start" } else { "serving" };
        let crash = (doing != Doing::AnyTime).then(|| format!("{from}:{step}"));
        if self.ended.kills.is_multiple_of(2) || doing == Doing::Start {
            // Now and then a run between two kills, so that what one leaves is not only seen by the next.
            if let Some(served) = self.start(None).await? {
                served.kill()?;
            }
        }
        let Some(mut served) = self.start(crash.as_deref()).await? else {
            self.ended.kills += 1;
            return Ok(true);
        };
        let killed = match doing {
            Doing::Start => false,
            _ => self.act(doing, &mut served).await?,
        };
        self.ended.kills += u64::from(killed);
        if !killed {
            served.kill()?;
        }
        self.app.mend();
        self.app.write_all()?;
        Ok(killed)
    }

    /// Does it, and says whether the host was killed over it.
    async fn act(&mut self, doing: Doing, served: &mut Served) -> io::Result<bool> {
        let admin = served.admin.clone();
        let answered = match doing {
            Doing::Reload | Doing::AnyTime => {
                self.edit()?;
                if doing == Doing::AnyTime {
                    return self.at_any_time(served).await;
                }
                admin.reload(&ReloadRequest::default()).await.map(|reply| reply.ok)
            }
            Doing::Broken => {
                self.app.break_it("pricing", Break::Init)?;
                admin.reload(&ReloadRequest::default()).await.map(|reply| !reply.ok)
            }
            Doing::Roles => admin.reload_roles().await.map(|reply| reply.ok),
            Doing::Apply => {
                self.watch.applying += 1;
                let reply = admin.apply_config(&config(self.watch.applying)).await;
                if reply.as_ref().is_ok_and(|reply| reply.ok) {
                    self.watch.applied = self.watch.applying;
                }
                reply.map(|reply| reply.ok)
            }
            Doing::Start => Ok(true),
        };
        match answered {
            Ok(true) => Ok(served.has_ended()?),
            Ok(false) => {
                self.ended.wrong.push(format!("{doing:?} did not end as it had to"));
                Ok(false)
            }
            Err(_) => served.was_killed().await.map(|()| true),
        }
    }

    async fn at_any_time(&mut self, served: &mut Served) -> io::Result<bool> {
        let admin = served.admin.clone();
        let reload = tokio::spawn(async move { admin.reload(&ReloadRequest::default()).await });
        tokio::time::sleep(std::time::Duration::from_micros(self.random.below(40_000) as u64)).await;
        served.child.kill()?;
        served.was_killed().await?;
        let _ = reload.await;
        Ok(true)
    }

    /// New tags everywhere, and a new version of the counter's state.
    fn edit(&mut self) -> io::Result<()> {
        self.edits += 1;
        self.app.committed();
        self.app.tags = [self.edits; MODULES.len()];
        self.app.version.1 = self.app.version.0 + 1;
        self.app.write_all()
    }

    /// Starts the host and looks at it. `None`: it was killed while it started, as it had to be.
    async fn start(&mut self, crash: Option<&str>) -> io::Result<Option<Served>> {
        self.watch.starts += 1;
        let Some(served) = Served::start(&self.settings.graceful, self.app.path(), crash).await? else {
            return Ok(None);
        };
        let (wrong, interrupted) = self.watch.look(&self.app, &served).await;
        for wrong in wrong {
            eprintln!("wrong after kill {}: {wrong}", self.ended.kills);
            self.ended.wrong.push(wrong);
        }
        self.ended.interrupted = interrupted;
        Ok(Some(served))
    }
}

/// The configuration number `n`.
fn config(n: i64) -> ConfigRequest {
    let inner = Value::Map([("n".to_owned(), Value::Int(n))].into());
    ConfigRequest { config: Value::Map([("number".to_owned(), inner)].into()), master: None }
}

/// A client of the app in a folder.
fn admin(folder: &std::path::Path) -> AdminClient {
    AdminClient::new(folder.join(".admin.sock"), PATIENCE)
}
