//! What scripts ask of roles: each function of theirs, on plain values.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

use super::{ApplyOptions, Instance};
use crate::asked::roles::{Answer, Function, Given, Refusal, Told};
use crate::clock::apart;
use crate::config::Config;
use crate::engine::Reload;
use crate::failure::ReloadErrorKind;
use crate::gate::LeaseKind;
use crate::lease::Lease;
use crate::role::{InstanceState, RoleError, RoleInfo};
use crate::role_set::Enabled;
use crate::source::Name;
use crate::value::Value;

impl Instance {
    /// Does what code of the module `from` asks for.
    pub fn ask(&self, from: &Name, function: Function, args: Vec<Value>) -> Answer {
        let now = |told: Result<Value, RoleError>| Answer::Now(told.map_err(Refusal::from));
        let mut given = Given::new(function, args);
        let told = self.looked_up(function, &mut given).or_else(|| self.noted(from, function, &mut given));
        match told {
            Some(told) => now(told),
            None => self.done(function, &mut given).unwrap_or_else(|error| now(Err(error))),
        }
    }

    /// Functions that only look.
    fn looked_up(&self, function: Function, given: &mut Given) -> Option<Result<Value, RoleError>> {
        Some(match function {
            Function::GetAllRoles => Ok(list(self.get_all_roles())),
            Function::GetKnownRoles => Ok(list(self.get_known_roles())),
            Function::GetEnabledRoles => Enabled::from_value(&given.next()).and_then(|roles| {
                let names = self.get_enabled_roles(&roles)?;
                Ok(Value::Map(names.into_iter().map(|name| (name, true.into())).collect()))
            }),
            Function::GetEnabledRolesWithoutDeps => {
                let given = given.next();
                let roles =
                    if given == Value::Null { Ok(self.enabled()) } else { Enabled::from_value(&given) };
                roles.and_then(|roles| self.get_enabled_roles_without_deps(&roles)).map(list)
            }
            Function::GetRole => given
                .name("the name of a role")
                .map(|name| self.get_role(&name).map_or(Value::Null, |role| declared(&role))),
            Function::GetRoleDependencies => {
                given.name("the name of a role").and_then(|name| self.get_role_dependencies(&name)).map(list)
            }
            Function::IsReloadForbidden => Ok(self.is_reload_forbidden().into()),
            Function::ServiceGet => given.name("the name of a role").map(|name| {
                let service = self.service_get(&name);
                service.map_or(Value::Null, |service| service.module().as_str().into())
            }),
            Function::State => Ok(self.state().as_str().into()),
            _ => return None,
        })
    }

    /// Functions that note something; in a reload with its commit, or never if it fails.
    fn noted(&self, from: &Name, function: Function, given: &mut Given) -> Option<Result<Value, RoleError>> {
        let (me, from) = (self.clone(), from.clone());
        let note: Box<dyn FnOnce() + Send> = match function {
            Function::ForbidReload => Box::new(move || me.forbid_reload()),
            Function::AllowReload => Box::new(move || me.allow_reload()),
            Function::KeepTask => match given.name("the name of a task") {
                Ok(name) => Box::new(move || me.keep_task(from, name)),
                Err(error) => return Some(Err(error)),
            },
            Function::KeepGlobal => match given.name("the name of a global") {
                Ok(name) => Box::new(move || me.keep_global(from, name)),
                Err(error) => return Some(Err(error)),
            },
            _ => return None,
        };
        match Lease::current_intents() {
            Some(intents) => intents.defer(note),
            None => note(),
        }
        Some(Ok(true.into()))
    }

    /// Functions that take a while. In a reload, and in what a role is called back for, they are refused.
    fn done(&self, function: Function, given: &mut Given) -> Result<Answer, RoleError> {
        let lease = Lease::current();
        let nested = lease.as_ref().is_some_and(Lease::is_of_reload);
        if function == Function::Reload {
            let loads = lease.is_some_and(|lease| lease.kind() == LeaseKind::Stage);
            return Ok(match (loads, nested) {
                (true, _) => Answer::Now(Ok(true.into())),
                (_, true) => Answer::Now(Err(Refusal::of_kind(function, &ReloadErrorKind::Nested))),
                _ => self.reloads(function, self.reload()),
            });
        }
        let me = self.clone();
        let work: BoxFuture<'static, Result<Value, RoleError>> = match function {
            Function::Cfg => {
                let modules = given.modules()?;
                return if nested {
                    Err(RoleError::Nested)
                } else {
                    Ok(self.reloads(function, self.register(modules)))
                };
            }
            Function::ValidateConfig => {
                let (new, old) = (Config::new(given.document()?)?, given.next());
                let old = if old == Value::Null { None } else { Some(Config::new(old)?) };
                let (enabled, opts) = given.options()?;
                let options = ApplyOptions { enabled, opts };
                Box::pin(async move { me.validate_against(new, old, options).await.map(|()| true.into()) })
            }
            Function::ApplyConfig => {
                let conf = Config::new(given.document()?)?;
                let (enabled, opts) = given.options()?;
                let options = ApplyOptions { enabled, opts };
                Box::pin(async move { me.apply_config(conf, options).await.map(|_| true.into()) })
            }
            Function::BeforeApplyConfig => {
                let conf = Config::new(given.document()?)?;
                let (enabled, opts) = given.options()?;
                let options = ApplyOptions { enabled, opts };
                Box::pin(async move { me.before_apply_config(conf, options).await.map(list) })
            }
            Function::OnApplyConfig => {
                let (conf, state) = (Config::new(given.document()?)?, given.state()?);
                Box::pin(async move { me.on_apply_config(conf, state).await.map(list) })
            }
            Function::Stop => Box::pin(async move { me.stop().await.map(|_| true.into()) }),
            _ => {
                let (wanted, timeout) = (given.state()?, given.seconds()?);
                Box::pin(async move {
                    let late = |state: InstanceState| RoleError::Awaited { wanted, state, timeout };
                    me.wait_for(wanted, timeout).await.map(|()| true.into()).map_err(late)
                })
            }
        };
        if nested {
            return Err(RoleError::Nested);
        }
        Ok(self.later(async move { work.await.map_err(Refusal::from) }))
    }

    fn reloads(&self, function: Function, reload: Reload) -> Answer {
        self.later(async move {
            let reload = reload.await;
            reload.map(|_| true.into()).map_err(|error| Refusal::of_reload(function, &error))
        })
    }

    /// Runs `work` as a task of its own: it must not end with the call that asked for it.
    fn later(&self, work: impl Future<Output = Told> + Send + 'static) -> Answer {
        let clock = self.engine.world.clock.clone();
        Answer::Later(Box::pin(async move {
            apart(&*clock, work).await.unwrap_or_else(|| Err(RoleError::Stopped.into()))
        }))
    }
}

fn list(names: Vec<String>) -> Value {
    Value::List(names.into_iter().map(Value::from).collect())
}

/// What a role declares.
fn declared(role: &RoleInfo) -> Value {
    let callbacks = role.callbacks.iter().map(|callback| callback.as_str().to_owned());
    let modules = role.dependencies.iter().map(ToString::to_string);
    let mut fields = BTreeMap::from([
        ("name".to_owned(), Value::from(role.name.as_str())),
        ("module".to_owned(), role.module.as_str().into()),
        ("dependencies".to_owned(), list(modules.collect())),
        ("permanent".to_owned(), role.permanent.into()),
        ("hidden".to_owned(), role.hidden.into()),
        ("callbacks".to_owned(), list(callbacks.collect())),
    ]);
    fields.extend(role.config_schema.clone().map(|schema| ("config_schema".to_owned(), schema)));
    Value::Map(fields)
}
