//! Situations that module reloaders before this one get wrong, each as it was seen.

use crate::op::*;
use crate::{App, Script, Subject};

/// ORD-03: of the 199 links of a chain none leads to old code, whatever the order of the names. (By hash order,
/// about half did.)
pub fn ord_03_a_chain_of_200_has_no_stale_link<S: Subject>() {
    needs!(S: plain);
    const LENGTH: usize = 200;
    // Names whose order says nothing about the order of the chain.
    let name = |n: usize| format!("m{}", n * 83 % LENGTH);
    let link = |n: usize, edition: &str| {
        let module = Script::plain(&name(n)).function("own", [ret(format!("{edition} {n}"))]);
        match n + 1 < LENGTH {
            true => module.requires(&name(n + 1)).function("next", [ret(call(&name(n + 1), "own"))]),
            false => module,
        }
    };
    let mut app = App::of::<S>().entry(&name(0));
    for n in 0..LENGTH {
        app = app.module(link(n, "one"));
    }
    let app = app.start();
    for edition in ["two", "three"] {
        (0..LENGTH).for_each(|n| app.edit(link(n, edition)));
        assert_eq!(app.must_reload().modules.len(), LENGTH);
        for n in 0..LENGTH - 1 {
            assert_eq!(app.ask(&name(n), "next"), format!("{edition} {}", n + 1).into());
        }
    }
}

/// TX-07: a module throws at load, with a dependent that loads first; mended, both are there and serve.
pub fn tx_07_a_module_that_threw_at_load_and_its_dependent_are_mended<S: Subject>() {
    needs!(S: plain);
    let db = |tag: &str| Script::plain("db").function("get", [ret(tag)]);
    let web = |tag: &str| {
        let page = [ret(list([tag.into(), call("db", "get")]))];
        Script::plain("web").requires("db").function("page", page)
    };
    let app = App::of::<S>().module(web("1")).module(db("1").top([throw("no")])).build();
    app.must_fail();
    app.must_fail();
    app.edit(db("1"));
    app.must_reload();
    assert_eq!(app.ask("web", "page"), super::words(["1", "1"]));
    app.edit(db("2").top([throw("no")]));
    app.edit(web("2"));
    app.must_fail();
    app.must_fail();
    assert_eq!(app.ask("web", "page"), super::words(["1", "1"]));
    app.edit(db("2"));
    app.must_reload();
    assert_eq!(app.ask("web", "page"), super::words(["2", "2"]));
}

/// ORD-01: the new code of a hundred modules brings five more each, which register while the reload goes on.
pub fn ord_01_a_hundred_modules_bring_five_new_ones_each<S: Subject>() {
    needs!(S: hooks);
    const MODULES: usize = 100;
    let name = |n: usize| format!("m{n}");
    let first =
        |n: usize| Script::new(&name(n)).init([inc("begun")]).function("begun", [ret(state("begun"))]);
    let mut app = App::of::<S>().entry("m0");
    for n in 0..MODULES {
        app = app.module(first(n)).entry(&name(n));
    }
    let app = app.start();
    for n in 0..MODULES {
        let new = |k: usize| format!("m{n}_{k}");
        app.edit((0..5).fold(first(n).after_reload([inc("reloaded")]), |module, k| module.requires(&new(k))));
        for k in 0..5 {
            let begun = Script::new(&new(k)).init([inc("begun")]).function("begun", [ret(state("begun"))]);
            app.edit(begun);
        }
    }
    assert_eq!(app.must_reload().modules.len(), 6 * MODULES);
    let status = app.status();
    assert_eq!(status.modules.iter().filter(|module| module.name.starts_with('m')).count(), 6 * MODULES);
    for n in (0..MODULES).step_by(7) {
        assert_eq!(app.ask(&name(n), "begun"), 1.into());
        assert_eq!(app.ask(&format!("m{n}_4"), "begun"), 1.into());
    }
}
