//! TX-03: what a top level may take, and what of it is its own.

use std::time::Duration;

use graceful_core::{Limits, ReloadError, Report};

use super::says;
use crate::op::*;
use crate::{App, Script, Subject};

/// `web`, whose top level sleeps, imports one that sleeps too, and sleeps again.
fn importing<S: Subject>(before: u64, below: u64, after: u64) -> Result<Report, ReloadError> {
    let limits = Limits { stage: Duration::from_millis(1000), ..Limits::default() };
    let web = Script::plain("web").function("page", [ret(1)]);
    let app = App::of::<S>().module(web.clone()).limits(limits).start();
    app.edit(Script::plain("slow").top([sleep(below)]));
    app.edit(web.top([sleep(before), require("slow"), sleep(after)]));
    app.reload()
}

/// TX-03: what a top level imports while it runs has time of its own.
pub fn tx_03_a_top_level_is_charged_for_its_own_time_only<S: Subject>() {
    needs!(S: waits_at_load, dynamic);
    importing::<S>(500, 600, 50).unwrap();
    let error = importing::<S>(500, 50, 600).unwrap_err();
    assert_eq!((error.code().0, error.module().map(|m| m.as_str())), ("GR0303", Some("web")), "{error:?}");
    let error = importing::<S>(50, 1200, 50).unwrap_err();
    assert_eq!(error.code().0, "GR0303", "{error:?}");
    says(&error, &["slow"]);
}
