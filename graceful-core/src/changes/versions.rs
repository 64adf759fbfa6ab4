//! From the version of a state to the next: whether there is a way, told while planning where the text says enough.

use super::{Changes, Failure, Load};
use crate::manifest::Manifest;
use crate::migration::{MigrationStep, Migrations};
use crate::source::Name;
use crate::version::Version;

/// What the versions of a module ask for.
pub(crate) enum Way {
    /// The state stays as it is.
    Stay,
    /// The state stays as it is, which may not be meant.
    Unsure(String),
    Chain(Vec<MigrationStep>),
}

/// From the version that the `state` has, which code that did not register itself since has not changed, to that of
/// `new`.
pub(crate) fn way(
    module: &Name,
    old: &Manifest,
    state: Option<&Version>,
    new: (Option<&Version>, &Migrations),
    force: bool,
) -> Result<Way, Failure> {
    let (version, migrations) = new;
    let declared = migrations.and(&old.migrations);
    if declared.is_empty() {
        return Ok(Way::Stay);
    }
    let module = module.clone();
    let (Some(from), Some(to)) = (state.cloned(), version.cloned()) else {
        let unsure = old.version.as_ref() != version;
        let message = format!("{module} has migrations and no version: its state is taken as it is");
        return Ok(if unsure { Way::Unsure(message) } else { Way::Stay });
    };
    let step = MigrationStep { from, to };
    match declared.chain(&step.from, &step.to) {
        Some(steps) if steps.is_empty() => Ok(Way::Stay),
        Some(steps) => Ok(Way::Chain(steps)),
        None if !step.is_up() && !force => Err(Failure::NoWayBack { module, step: Box::new(step), declared }),
        None if step.is_up() && step.from.major() != step.to.major() => {
            Err(Failure::NoMigration { module, step: Box::new(step), declared })
        }
        None => Ok(Way::Unsure(format!("no migration takes {module} {step}: its state is taken as it is"))),
    }
}

impl Changes {
    /// Refuses what is certain to be refused once it has run. A text that leaves it open is looked at then.
    pub(super) fn check_ways(&self, force: bool) -> Result<(), Failure> {
        self.loads.iter().try_for_each(|(name, load)| check(name, load, force))
    }
}

fn check(name: &Name, load: &Load, force: bool) -> Result<(), Failure> {
    let live = load.live.as_ref().filter(|live| live.source.backend == load.source.backend);
    let (Some(live), Some(new)) = (live, &load.compiled.declared) else { return Ok(()) };
    let (state, Some(old)) = (live.state_version.get(), live.module()) else { return Ok(()) };
    if state.is_none() && !old.manifest().registered {
        return Ok(());
    }
    way(name, old.manifest(), state, (new.version.as_ref(), &new.migrations), force).map(drop)
}
