//! The roles of an app: registered and configured at the start, enabled, disabled and configured while it runs.

pub(crate) mod keeper;
pub(crate) mod kept;
pub(crate) mod schema;

use std::future::Future;
use std::path::Path;
use std::sync::atomic::Ordering;

use graceful_core::instance::ApplyOptions;
use graceful_core::status::RolesStatus;
use graceful_core::{Config, Enabled, Name, ReloadOptions, RoleError, Value};

use crate::app::{App, RoleSettings};
use crate::host::{Host, HostError};
use crate::options::{Cause, HostOptions};
use crate::watchman;
use crate::wire::{ApplyReply, ConfigReply, DiffReply, Failure, RolesReply, Summary};
use kept::{Applied, Found, Kept};

/// Where `app` in `folder` keeps what was applied.
pub(crate) fn kept(folder: &Path, app: &App) -> Kept {
    Kept::new(folder.join(&app.state_dir), &app.name)
}

/// What a start applies: what was applied last and is kept, or the manifest's where nothing is; and what is not used.
pub(crate) struct First {
    pub(crate) applied: Applied,
    pub(crate) is_kept: bool,
    pub(crate) warnings: Vec<String>,
}

pub(crate) fn first(kept: &Kept, app: &App, roles: &RoleSettings) -> First {
    let mut warnings: Vec<String> = kept.left_unfinished().into_iter().collect();
    match kept.find() {
        Found::Applied(applied) => return First { applied, is_kept: true, warnings },
        Found::Unusable(why) => warnings.push(why),
        Found::Nothing => {}
    }
    First { applied: of_manifest(app, roles), is_kept: false, warnings }
}

/// The modules that are registered as roles: the manifest's, and the embedder's.
pub(crate) fn modules(settings: &RoleSettings, options: &HostOptions) -> Vec<Name> {
    settings.modules.iter().chain(&options.roles).cloned().collect()
}

fn of_manifest(app: &App, roles: &RoleSettings) -> Applied {
    let config = Config::new(Value::Map(app.config.clone())).unwrap_or_default();
    let opts = ApplyOptions::default().master(roles.master).opts;
    Applied { config, enabled: roles.enabled.clone(), opts }
}

impl Applied {
    pub(crate) fn enabled(&self) -> Enabled {
        self.enabled.iter().cloned().collect()
    }

    fn options(&self) -> ApplyOptions {
        ApplyOptions { enabled: Some(self.enabled()), opts: self.opts.clone() }
    }
}

/// Forgets the configuration that was applied to the app in `folder`, which does not run: the next start takes the
/// manifest's. It is set aside under another name, which this returns.
///
/// # Errors
/// The manifest cannot be used, or the file cannot be renamed.
pub fn forget_applied(folder: &Path) -> Result<Option<std::path::PathBuf>, HostError> {
    let kept = kept(folder, &App::read(folder)?);
    let failed = |error| HostError::Setting(format!("cannot set {} aside: {error}", kept.path().display()));
    kept.set_aside().map_err(failed)
}

impl Host {
    /// What follows on the first reload: the first configuration of the roles.
    pub(crate) async fn roles_begun(&self, summary: &mut Summary) -> Result<(), Failure> {
        let begun = self.begin_roles(&self.app()).await;
        self.0.behind.store(begun.is_err(), Ordering::Release);
        if let Some(roles) = begun? {
            summary.follow(roles);
        }
        Ok(())
    }

    /// Registers the roles and applies their first configuration, unless that was done.
    async fn begin_roles(&self, app: &App) -> Result<Option<Summary>, Failure> {
        let (Some(settings), roles) = (&app.roles, self.engine().roles()) else { return Ok(None) };
        if roles.config().is_some() {
            return Ok(None);
        }
        let report = roles.cfg(modules(settings, &self.0.options)).await;
        let mut summary = Summary::from(&report.map_err(|error| self.with_source(Failure::from(&error)))?);
        let First { applied, is_kept, warnings } = first(&self.0.keeper.kept, app, settings);
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        summary.warnings.extend(warnings);
        self.0.keeper.expect(applied.clone(), is_kept);
        let options = applied.options();
        let report =
            roles.configure(applied.config, options).await.map_err(|error| self.role_failure(&error))?;
        summary.warnings.extend(report.warnings);
        Ok(Some(summary))
    }

    /// Reloads everything that was loaded since roles were registered, from a clean slate; see
    /// [`Instance::reload`](graceful_core::instance::Instance::reload).
    ///
    /// # Errors
    /// As [`Host::reload`].
    pub async fn reload_roles(&self, cause: Cause) -> Result<Summary, Failure> {
        self.reload(cause, ReloadOptions { roles: true, ..ReloadOptions::default() }).await
    }

    /// The registered roles and what they do.
    pub fn roles(&self) -> RolesReply {
        RolesReply::new(&self.engine().status().roles)
    }

    /// The configuration that is active.
    pub fn config(&self) -> ConfigReply {
        let active = self.active().unwrap_or_default();
        let found = self.0.keeper.kept.find();
        let kept = matches!(&found, Found::Applied(kept) if *kept == active);
        let mut warnings: Vec<String> = self.0.keeper.failed().into_iter().collect();
        if let Found::Unusable(why) = found {
            warnings.push(why);
        }
        ConfigReply::new(active, kept, warnings)
    }

    /// What is different in `new`.
    pub fn diff_config(&self, new: &Config) -> DiffReply {
        let active = self.engine().roles().config().unwrap_or_default();
        DiffReply::new(&active.diff(new))
    }

    /// Asks the enabled roles whether `new` would do. Changes nothing.
    pub async fn check_config(&self, new: Config) -> ApplyReply {
        let checked = self.with_roles(move |host| async move {
            let roles = host.engine().roles();
            roles.validate_config(new, ApplyOptions::default()).await?;
            Ok(None)
        });
        checked.await
    }

    /// Validates `new` and applies it in place of the active configuration, with the same roles enabled; `master` says
    /// whether this instance is the one that writes, `None` leaves it. When this returns it is kept: the next start
    /// applies it.
    pub async fn apply_config(&self, new: Config, master: Option<bool>) -> ApplyReply {
        let applied = self.with_roles(move |host| async move {
            let roles = host.engine().roles();
            let mut options = ApplyOptions { enabled: None, opts: roles.opts() };
            if roles.config().is_none() {
                options = host.manifest().options();
            }
            let options = match master {
                Some(master) => options.master(master),
                None => options,
            };
            roles.configure(new, options).await.map(Some)
        });
        applied.await
    }

    /// Enables or disables roles: the active configuration is validated and applied with them.
    pub async fn enable_roles(&self, names: Vec<String>, on: bool) -> ApplyReply {
        let disabled = if on { Vec::new() } else { names.clone() };
        let applied = self.with_roles(move |host| async move {
            let roles = host.engine().roles();
            let now = host.active().unwrap_or_else(|| host.manifest());
            let mut enabled = now.enabled();
            for name in &names {
                // A slip of the finger would disable nothing, and nobody would know.
                roles.get_role_dependencies(name)?;
                if on {
                    enabled.0.insert(name.clone())
                } else {
                    enabled.0.remove(name)
                };
            }
            let options = ApplyOptions { enabled: Some(enabled), opts: now.opts };
            roles.configure(now.config, options).await.map(Some)
        });
        let mut reply = applied.await;
        let running = self.engine().roles().running();
        let still = disabled.into_iter().filter(|name| reply.ok && running.contains(name));
        let told = still
            .map(|name| format!("`{name}` still runs: it is permanent, or a role that runs depends on it"));
        reply.warnings.extend(told);
        reply
    }

    /// Goes back to the manifest's configuration and roles, as it is on disk: validates and applies them and forgets
    /// what was applied.
    pub async fn reset_config(&self) -> ApplyReply {
        let app = match App::read(self.root()) {
            Ok(app) => app,
            Err(error) => {
                let failure = Failure::manifest(&error, self.engine().status().generation);
                return ApplyReply::refused(failure, &self.engine().status().roles);
            }
        };
        let applied = self.with_roles(move |host| async move {
            let Some(settings) = &app.roles else { return Ok(None) };
            let roles = host.engine().roles();
            let before = host.active().unwrap_or_default();
            let first = of_manifest(&app, settings);
            host.0.keeper.expect(first.clone(), false);
            let options = first.options();
            let report = roles.configure(first.config, options).await;
            if report.is_err() {
                // Whatever is active after all is kept as soon as every role has it.
                let is_kept = matches!(host.0.keeper.kept.find(), Found::Applied(kept) if kept == before);
                host.0.keeper.expect(before, is_kept);
            }
            let report = report?;
            host.0.keeper.forget();
            Ok(Some(report))
        });
        applied.await
    }

    /// Forbids reloading roles, or allows it again; what the manifest forbids stays forbidden.
    pub fn forbid_reload(&self, forbid: bool) -> RolesReply {
        let roles = self.engine().roles();
        if forbid {
            roles.forbid_reload()
        } else {
            roles.allow_reload()
        }
        self.roles()
    }

    /// What is active, once something is.
    pub(crate) fn active(&self) -> Option<Applied> {
        let roles = self.engine().roles();
        let (config, enabled) = (roles.config()?, roles.enabled().0.into_iter().collect());
        Some(Applied { config, enabled, opts: roles.opts() })
    }

    fn manifest(&self) -> Applied {
        let app = self.app();
        app.roles.as_ref().map(|roles| of_manifest(&app, roles)).unwrap_or_default()
    }

    /// Does `work` while no reload runs, to its end whether or not anybody waits.
    async fn with_roles<F>(&self, work: impl FnOnce(Host) -> F + Send + 'static) -> ApplyReply
    where
        F: Future<Output = Result<Option<graceful_core::role::ApplyReport>, RoleError>> + Send + 'static,
    {
        let live = self.engine().status().generation;
        if self.engine().roles().set().all().is_empty() {
            let message = "this app has no roles: its manifest has no `[roles]`".to_owned();
            return ApplyReply::refused(
                Failure::refused("GR0406", message, live),
                &self.engine().status().roles,
            );
        }
        let host = self.clone();
        let mut kept = self.0.kept.subscribe();
        let mut done = self.0.runtime.spawn(async move {
            let _turn = host.0.turn.lock().await;
            let result = work(host.clone()).await;
            let unkept = host.0.keeper.failed().filter(|_| matches!(result, Ok(Some(_))));
            let status = host.engine().status().roles;
            let mut reply = ApplyReply::new(result, &status, |error| host.role_failure(error));
            if let Some(why) = unkept {
                let message = format!("the configuration is applied and not kept: {why}");
                let outcome = "failed".to_owned();
                reply.failed(Failure {
                    outcome,
                    retryable: true,
                    ..Failure::refused("GR0407", message, live)
                });
            }
            reply
        });
        let done = tokio::select! {
            biased;
            done = &mut done => done,
            why = watchman::is_kept(&mut kept) => {
                done.abort();
                return ApplyReply::refused(self.given_up(why, false), &RolesStatus { state: self.engine().roles().state(), ..RolesStatus::default() });
            }
        };
        done.unwrap_or_else(|error| {
            let message = format!("it did not come to its end: {error}");
            ApplyReply::refused(Failure::refused("GR0402", message, live), &self.engine().status().roles)
        })
    }

    fn role_failure(&self, error: &RoleError) -> Failure {
        self.with_source(Failure::role(error, self.engine().status().generation))
    }
}
