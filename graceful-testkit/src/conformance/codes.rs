//! OBS-04: the same mistake has the same code in every language.

use std::time::Duration;

use graceful_core::Limits;

use crate::op::*;
use crate::{App, Script, Subject};

/// OBS-04: of a reload.
pub fn obs_04_a_reload_that_fails_has_the_code_of_its_cause_in_every_language<S: Subject>() {
    let limits = Limits { stage: Duration::from_millis(1000), ..Limits::default() };
    let web = Script::plain("web").function("page", [ret(1)]);
    let app = App::of::<S>().module(web).limits(limits).start();
    let can = S::capabilities();
    let web = || Script::plain("web").function("page", [ret(2)]);
    let hooked = || Script::new("web");
    let mut wrong = vec![("a missing module", "GR0103", web().requires("nowhere"))];
    let mut more = |can: bool, what: &'static str, code: &'static str, script: Script| {
        wrong.extend(can.then_some((what, code, script)));
    };
    more(can.syntax, "a text that does not parse", "GR0301", web().broken());
    more(true, "a top level that throws", "GR0302", web().top([throw("no")]));
    more(can.stops_load, "a top level that never ends", "GR0303", web().top([Op::Spin]));
    more(can.stops_memory, "a top level that takes all memory", "GR0304", web().top([Op::Hog]));
    more(can.options, "an unknown option", "GR0305", hooked().hook("finilize", []));
    more(can.options, "a version that is none", "GR0305", hooked().version("1.x"));
    more(can.registers_by_call, "another name", "GR0305", hooked().registers_as("other"));
    more(can.hooks, "a hook that throws", "GR0105", hooked().init([throw("no")]));
    for (what, code, script) in wrong {
        app.edit(script);
        let error = app.must_fail();
        assert_eq!(error.code().0, code, "{what}: {error}");
        assert_eq!(app.ask("web", "page"), 1.into(), "{what}");
    }
}

/// OBS-04: of a call.
pub fn obs_04_a_call_that_fails_has_the_code_of_its_cause_in_every_language<S: Subject>() {
    let web = Script::plain("web").function("page", [throw("no")]);
    let app = App::of::<S>().module(web).start();
    let code = |module: &str, function: &str| app.call(module, function).unwrap_err().code().0;
    assert_eq!(code("nowhere", "page"), "GR0201");
    assert_eq!(code("web", "nothing"), "GR0202");
    if S::capabilities().catches {
        assert_eq!(code("web", "page"), "GR0302");
    }
}
