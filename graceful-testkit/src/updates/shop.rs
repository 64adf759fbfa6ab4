//! An app for backends: calls that nest across two languages and wait, beside a task.

use super::{Updated, update_points_on};
use crate::clock::ClockKind;
use crate::op::*;
use crate::scenario::{App, AppBuilder};
use crate::script::Script;
use crate::subject::Subject;

/// Reloads at every point of calls into a page that asks a module of another language, which asks a store that counts
/// and whose task ticks. With `hooks` the store is drained and frozen for the reload; without, old and new calls overlap.
pub fn shop<S: Subject>(clock: ClockKind, hooks: bool) -> Updated {
    let build =
        move |app: AppBuilder| app.module(page("old")).other(basket("old")).module(store::<S>("old", hooks));
    let edit = move |app: &App| {
        app.edit(page("new"));
        app.edit_other(basket("new"));
        app.edit(store::<S>("new", hooks));
    };
    let calls = [("page", "show"), ("store", "take"), ("page", "quick"), ("basket", "all")];
    update_points_on::<S>(clock, build, &calls, edit, |app| app.ask("store", "counted").to_string())
}

fn page(tag: &str) -> Script {
    let all = [tag.into(), call("basket", "all"), tag.into()];
    Script::plain("page")
        .requires("basket")
        .function("show", [yield_now(), eval(call("basket", "all")), sleep(1), ret(list(all))])
        .function("quick", [ret(list([tag.into(), call("basket", "tag")]))])
}

fn basket(tag: &str) -> Script {
    let all = [tag.into(), call("store", "take"), tag.into()];
    Script::new("basket")
        .requires("store")
        .function("all", [sleep(1), yield_now(), ret(list(all))])
        .function("tag", [ret(tag)])
}

fn store<S: Subject>(tag: &str, hooks: bool) -> Script {
    let script = Script::new("store")
        .init([set("taken", 0)])
        .function("take", [inc("taken"), yield_now(), ret(tag)])
        .function("counted", [ret(state("taken"))])
        .top([spawn_loop([inc("ticks"), sleep(2)])]);
    match hooks && S::capabilities().hooks {
        true => script.before_reload([yield_now(), inc("before")]).after_reload([sleep(1), inc("after")]),
        false => script,
    }
}
