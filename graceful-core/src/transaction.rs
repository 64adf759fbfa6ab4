//! One reload, as its own table of contents: one phase, one call.

mod account;
mod commit;
mod crew;
mod discard;
mod exclusive;
mod migrate;
mod prepare;
mod retire;
mod roles;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::lock::OwnedMutexGuard;

use crate::changes::Changes;
use crate::engine::{Inner, Ticket};
use crate::event::{EventKind, Phase};
use crate::failure::{ReloadError, ReloadErrorKind};
use crate::gate::Generation;
use crate::generation::World;
use crate::journal::{Journal, Undone};
use crate::lifecycle::Hook;
use crate::plan::Plan;
use crate::planted::{Bug, is_planted};
use crate::report::{OnBusy, Outcome, PhaseTime, ReloadOptions, Report};
use crate::source::Name;
use crate::staging::Staging;
use crate::version::Version;

type Failure = ReloadErrorKind;

/// How far forward a reload went.
enum Reached {
    Nothing,
    Validated,
    Committed,
}

pub(crate) struct Transaction {
    pub(crate) engine: Arc<Inner>,
    pub(crate) world: Arc<World>,
    options: ReloadOptions,
    ticket: Arc<Ticket>,
    id: u64,
    pub(crate) base: Generation,
    started: Duration,
    phase: Option<(Phase, Duration)>,
    phases: Vec<PhaseTime>,
    pub(crate) warnings: Vec<String>,
    plan: Option<Plan>,
    versions: BTreeMap<Name, (Option<Version>, Option<Version>)>,
    pub(crate) changes: Option<Changes>,
    pub(crate) staging: Option<Staging>,
    chains: migrate::Chains,
    journal: Journal,
    gated: BTreeSet<Name>,
    deadline: Duration,
    shut_at: Option<Duration>,
    widenings: usize,
    pause: Duration,
    roles: roles::RoleWork,
    /// No configuration is applied meanwhile.
    turn: Option<OwnedMutexGuard<()>>,
}

impl Transaction {
    pub(crate) fn new(engine: Arc<Inner>, options: ReloadOptions, ticket: Arc<Ticket>) -> Self {
        let world = engine.world.clone();
        let id = world.reload.fetch_add(1, Ordering::Relaxed) + 1;
        world.in_reload.store(id, Ordering::Relaxed);
        let (base, started) = (world.gate.live(), world.clock.now());
        let (phases, warnings, versions, chains, journal, gated) = Default::default();
        Self {
            engine,
            world,
            options,
            ticket,
            id,
            base,
            started,
            phase: None,
            phases,
            warnings,
            plan: None,
            versions,
            chains,
            changes: None,
            staging: None,
            journal,
            gated,
            deadline: Duration::ZERO,
            shut_at: None,
            widenings: 0,
            pause: Duration::ZERO,
            roles: roles::RoleWork::default(),
            turn: None,
        }
    }

    /// The whole reload. Forward until something fails or whoever drives it goes away, then either what is
    /// left to do after the commit, or back.
    pub(crate) async fn run(mut self) -> Result<Report, ReloadError> {
        self.world.emit(EventKind::ReloadStarted);
        let ticket = self.ticket.clone();
        let abandoned = ticket.abandoned();
        let forward = Box::pin(self.forward());
        let result = match select(abandoned, forward).await {
            Either::Left(_) => None,
            Either::Right((result, _)) => Some(result),
        };
        let result = result.unwrap_or_else(|| Err(self.given_up()));
        let result = match result {
            Ok(Reached::Committed) => {
                self.retire().await;
                Ok(self.report(Outcome::Committed))
            }
            Ok(Reached::Validated) => self.checked().await,
            Ok(Reached::Nothing) => {
                self.commit_roles();
                self.settle_roles();
                self.tell_applied().await;
                self.roles_as_on_disk();
                Ok(self.report(Outcome::Unchanged))
            }
            Err(failure) => Err(self.back(failure).await),
        };
        self.end_phase(result.is_ok());
        let (outcome, code, message) = match &result {
            Ok(report) => (report.outcome, None, None),
            Err(error) => (error.report.outcome, Some(error.code().to_string()), Some(error.explain())),
        };
        let generation = self.world.gate.live().0;
        let took = self.world.clock.now().saturating_sub(self.started);
        let outcome = outcome.as_str().to_owned();
        let (purpose, by) = (self.options.purpose(), self.options.by.clone());
        let ended = EventKind::ReloadEnded { outcome, generation, purpose, by, code, message, took };
        if is_planted(Bug::TwoEnds) && result.is_err() {
            self.world.emit(ended.clone());
        }
        self.world.emit(ended);
        result
    }

    async fn forward(&mut self) -> Result<Reached, Failure> {
        self.take_turn().await?;
        if self.options.roles {
            self.roles_permitted()?;
            self.enter_roles()?;
        }
        let mut widened = BTreeMap::new();
        let inputs = loop {
            let inputs = Arc::new(self.engine.inputs(self.options.clone(), widened.clone()));
            let registers = self.options.register.is_some();
            if !self.plan(&inputs).await? && !registers {
                return Ok(Reached::Nothing);
            }
            self.roles_permitted()?;
            if !self.options.check {
                self.make_room().await?;
            }
            self.stage(&inputs).await?;
            let born = self.close();
            if born.is_empty() {
                break inputs;
            }
            self.again(born, &mut widened).await?;
        };
        self.wanted()?;
        self.validate()?;
        self.validate_roles(&inputs).await?;
        if self.options.check {
            return Ok(Reached::Validated);
        }
        self.drain().await?;
        self.suspend().await?;
        if !is_planted(Bug::EarlyCommit) {
            self.activate().await?;
        }
        if !self.ticket.may_commit() {
            return Err(self.given_up());
        }
        self.commit();
        if is_planted(Bug::EarlyCommit) {
            self.activate().await?;
        }
        Ok(Reached::Committed)
    }

    /// Waits until no configuration is being applied.
    async fn take_turn(&mut self) -> Result<(), Failure> {
        let board = &self.engine.crew.board;
        self.turn = match board.turn_now() {
            None if self.options.on_busy == OnBusy::Refuse => return Err(Failure::Busy),
            None => Some(board.turn().await),
            turn => turn,
        };
        Ok(())
    }

    /// Why it goes back although nothing failed.
    fn given_up(&self) -> Failure {
        match self.ticket.hangs() {
            Some(hung) => *hung.kind,
            None if self.world.gate.is_closed() => Failure::Stopped,
            None => Failure::Abandoned,
        }
    }

    /// Whether anybody still wants it: code that kept its thread for long may have come back meanwhile.
    fn wanted(&self) -> Result<(), Failure> {
        if self.ticket.is_abandoned() { Err(self.given_up()) } else { Ok(()) }
    }

    async fn retire(&mut self) {
        self.begin(Phase::Retire);
        self.tell_applied().await;
        retire::retire(self).await;
    }

    /// It was a check, and it passed: back, with nothing to blame but an undo that fails.
    async fn checked(&mut self) -> Result<Report, ReloadError> {
        self.end_phase(true);
        let undone = self.undo().await;
        let mut report = self.report(if undone.left.is_empty() { Outcome::Checked } else { Outcome::Stuck });
        report.rolled_back = undone.steps;
        let Some((module, message)) = undone.blame else { return Ok(report) };
        let kind = Failure::Hook { module, hook: Hook::Finalize, message, place: None };
        let (kind, report) = (Box::new(kind), Box::new(report));
        Err(ReloadError { kind, phase: Phase::Validate, report, left: undone.left })
    }

    /// Everything that was done is undone, in reverse, going on past errors.
    async fn undo(&mut self) -> Undone {
        self.end_stopping().await;
        self.note_initialised();
        let (world, budget) = (self.world.clone(), self.engine.limits.hook);
        let mut undone = self.journal.undo(&world, self.base, budget).await;
        self.discard().await;
        self.bring_back(&mut undone).await;
        self.open_closing();
        self.open_gates();
        undone
    }

    async fn back(&mut self, failure: Failure) -> ReloadError {
        let phase = self.phase.map_or(Phase::Plan, |(phase, _)| phase);
        self.end_phase(false);
        let undone = self.undo().await;
        if !self.options.check {
            self.engine.unsettled(&self.options);
        }
        let outcome = match (undone.left.is_empty(), undone.steps.is_empty() && phase < Phase::Suspend) {
            (false, _) => Outcome::Stuck,
            (true, true) => Outcome::Refused,
            (true, false) => Outcome::RolledBack,
        };
        let mut report = Box::new(self.report(outcome));
        report.rolled_back = undone.steps;
        let error = ReloadError { kind: Box::new(failure), phase, report, left: undone.left };
        self.roles_failed(error.code().to_string(), error.explain(), phase, error.is_stuck());
        error
    }

    fn open_closing(&self) {
        self.world.in_flight.write().unwrap().closing.clear();
        self.world.gate.announce();
    }

    fn open_gates(&mut self) {
        if is_planted(Bug::GateLeftShut) && self.ticket.is_abandoned() {
            return;
        }
        if let Some(shut_at) = self.shut_at.take() {
            self.world.gate.open();
            self.pause = self.world.clock.now().saturating_sub(shut_at);
            self.world.emit(EventKind::GatesOpened { modules: self.gated.iter().cloned().collect() });
        }
    }

    pub(crate) fn changes(&self) -> &Changes {
        self.changes.as_ref().expect("a plan was made")
    }
}
