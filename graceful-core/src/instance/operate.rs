//! What is done with roles: register, validate, apply, reload, stop.

use std::collections::BTreeSet;
use std::future::Future;

use super::{ApplyOptions, Instance};
use crate::clock::apart;
use crate::config::Config;
use crate::crew::Apply;
use crate::engine::{Engine, Reload};
use crate::failure::ReloadError;
use crate::lease::Lease;
use crate::report::{ReloadOptions, Report};
use crate::role::{ApplyReport, Callback, InstanceState, Operation, RoleError, StopReport};
use crate::role_set::Enabled;
use crate::source::Name;
use crate::value::Value;

impl Instance {
    /// Loads `modules` and what they depend on, and registers them as roles in place of those that were: one reload,
    /// all or nothing. Modules that are live before the first call are not reloaded by
    /// [`reload`](Instance::reload).
    ///
    /// # Errors
    /// As [`Engine::reload`]; with `GR0501` to `GR0503` a module is no role, two have one name, or they depend on each
    /// other in a ring.
    pub async fn cfg(
        &self,
        modules: impl IntoIterator<Item = impl Into<Name>>,
    ) -> Result<Report, ReloadError> {
        self.register(modules.into_iter().map(Into::into).collect()).await
    }

    pub(super) fn register(&self, modules: Vec<Name>) -> Reload {
        let (register, changed) = (Some(modules), Some(BTreeSet::new()));
        let options = ReloadOptions { register, changed, ..ReloadOptions::default() };
        Engine(self.engine.clone()).reload(options)
    }

    /// Reloads every module that was loaded since [`cfg`](Instance::cfg), whether or not it changed: the new code is
    /// staged and asked whether it takes the active configuration; then the old roles stop, dependents first, and the
    /// new ones start from a clean slate. Hooks and migrations of modules run and their states survive; tasks end
    /// unless they are [kept](Instance::keep_task). If it fails, the roles before it serve.
    ///
    /// # Errors
    /// As [`Engine::reload`]; `GR0511` to `GR0513` if roles may not be reloaded now: nothing was touched.
    pub fn reload(&self) -> Reload {
        self.reload_with(ReloadOptions::default())
    }

    /// The same, with other options.
    pub fn reload_with(&self, options: ReloadOptions) -> Reload {
        Engine(self.engine.clone()).reload(ReloadOptions { roles: true, ..options })
    }

    /// Asks the enabled roles whether `new` would do, dependencies first, until one refuses. Changes nothing. `options`
    /// say which roles.
    ///
    /// # Errors
    /// [`RoleError::Refused`], [`RoleError::Unknown`].
    pub async fn validate_config(&self, new: Config, options: ApplyOptions) -> Result<(), RoleError> {
        self.validate_against(new, None, options).await
    }

    /// The same against `old` in place of the configuration that is applied.
    ///
    /// # Errors
    /// As [`validate_config`](Instance::validate_config).
    pub async fn validate_against(
        &self,
        new: Config,
        old: Option<Config>,
        options: ApplyOptions,
    ) -> Result<(), RoleError> {
        let me = self.clone();
        self.apart(async move {
            let _turn = me.turn().await?;
            let enabled = options.enabled.unwrap_or_else(|| me.enabled());
            me.engine.crew.validate(&me.set(), &enabled, &new, old).await
        })
        .await
    }

    /// Applies `conf`, which is not validated: stops roles that run and are not enabled any more, dependents first;
    /// then, dependencies first, starts what is enabled and does not run, and tells each enabled role. A role that
    /// fails takes down what depends on it; the others go on. Goes on to its end whether or not anybody waits.
    ///
    /// # Errors
    /// [`RoleError::State`] if the state forbids it; [`RoleError::Partly`] if a role failed: the state is
    /// `OperationError`, and the same may be tried again.
    pub async fn apply_config(&self, conf: Config, options: ApplyOptions) -> Result<ApplyReport, RoleError> {
        self.apply(conf, options, false).await
    }

    /// Validates `conf` and applies it if every enabled role takes it.
    ///
    /// # Errors
    /// As [`validate_config`](Instance::validate_config), then nothing was changed; as
    /// [`apply_config`](Instance::apply_config).
    pub async fn configure(&self, conf: Config, options: ApplyOptions) -> Result<ApplyReport, RoleError> {
        self.apply(conf, options, true).await
    }

    async fn apply(
        &self,
        conf: Config,
        options: ApplyOptions,
        validate: bool,
    ) -> Result<ApplyReport, RoleError> {
        let me = self.clone();
        self.apart(async move {
            let _turn = me.turn().await?;
            let enabled = options.enabled.unwrap_or_else(|| me.enabled());
            let opts = map(options.opts);
            me.engine.crew.apply(Apply { conf, opts, enabled, validate }).await
        })
        .await
    }

    /// Calls back every enabled role with `before_apply_config`, dependencies first, as applying `conf` does before any
    /// role is told. Nothing is applied. Gives what failed, which holds up nobody.
    ///
    /// # Errors
    /// [`RoleError::State`] if the state forbids to apply anything; [`RoleError::Unknown`].
    pub async fn before_apply_config(
        &self,
        conf: Config,
        options: ApplyOptions,
    ) -> Result<Vec<String>, RoleError> {
        self.around(conf, options.enabled, Callback::BeforeApplyConfig, map(options.opts)).await
    }

    /// The same with `on_apply_config`, which is told the state that applying `conf` led to. The enabled roles are those
    /// of the last time.
    ///
    /// # Errors
    /// [`RoleError::State`] if the state forbids to apply anything.
    pub async fn on_apply_config(
        &self,
        conf: Config,
        state: InstanceState,
    ) -> Result<Vec<String>, RoleError> {
        self.around(conf, None, Callback::OnApplyConfig, state.as_str().into()).await
    }

    async fn around(
        &self,
        conf: Config,
        enabled: Option<Enabled>,
        callback: Callback,
        told: Value,
    ) -> Result<Vec<String>, RoleError> {
        let me = self.clone();
        self.apart(async move {
            let _turn = me.turn().await?;
            let enabled = enabled.unwrap_or_else(|| me.enabled());
            me.engine.crew.only_around(&enabled, callback, &[conf.document().clone(), told]).await
        })
        .await
    }

    /// Stops every role that runs, dependents first, each with a deadline; failures are reported and block nothing.
    /// From then on no configuration can be applied and nothing reloaded. A shutdown does this by itself.
    ///
    /// # Errors
    /// [`RoleError::State`]: they are stopped.
    pub async fn stop(&self) -> Result<StopReport, RoleError> {
        let me = self.clone();
        self.apart(async move {
            let _turn = me.turn().await?;
            let (board, world) = (me.board(), &me.engine.world);
            board.go(world, Operation::Stop)?;
            let report = me.engine.crew.stop_all().await;
            board.go(world, Operation::StopEnded)?;
            Ok(report)
        })
        .await
    }

    /// Runs `work` as a task of its own: it must not end with the call that asked for it.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, RoleError>> + Send + 'static,
    ) -> Result<T, RoleError> {
        if Lease::current().is_some_and(|lease| lease.is_of_reload()) {
            return Err(RoleError::Nested);
        }
        apart(&*self.engine.world.clock, work).await.unwrap_or(Err(RoleError::Stopped))
    }
}

/// What callbacks are told besides: a map, also where there is nothing.
fn map(opts: Value) -> Value {
    if opts == Value::Null { Value::map() } else { opts }
}
