//! Classes: objects in a state follow the code, with the commit and not before.

mod support;

use graceful_core::Value;
use support::{App, committed};

/// `app` with an object in its state whose class has one method, `name`, which says `n`.
fn app(method: &str, n: i64, rest: &str) -> String {
    format!(
        "let Account = graceful::class(\"Account\", #{{
            {method}: |by| {{ this.n += by; {n} }},
            twice: |by| {{ this.{method}(by); this.{method}(by) }},
        }});
        let me = graceful::register_module(\"app\", #{{
            init: |m| {{ m.state.account = Account.create(#{{ n: 0 }}); }},
            after_reload: |m| {{ m.state.said = m.state.account.{method}(0); {rest} }},
        }});
        fn hit() {{ me.state.account.{method}(1) }}
        fn twice() {{ me.state.account.twice(1) }}
        fn n() {{ me.state.account.n }}
        fn said() {{ me.state.said }}
        fn same() {{ Account.has(me.state.account) && me.state.account == me.state.account }}
        fn gone(by) {{ me.state.account.first(by) }}"
    )
}

#[test]
fn st_07_objects_in_state_get_the_new_methods_with_the_commit() {
    let app_ = App::start(&[("app", &app("first", 1, ""))]);
    assert_eq!(app_.count("app", "hit"), 1);
    app_.edit("app", &app("first", 2, ""));
    committed(app_.reload());
    assert_eq!((app_.count("app", "hit"), app_.count("app", "said")), (2, 2));
    app_.edit("app", &app("second", 3, ""));
    committed(app_.reload());
    assert_eq!((app_.count("app", "twice"), app_.count("app", "n")), (3, 4));
    assert_eq!(app_.get("app", "same"), true.into());
    let gone = app_.call_with("app", "gone", vec![1.into()]).unwrap_err().to_string();
    assert_eq!(gone, "app.rhai:14:40: class `Account` has no method `first`");
}

#[test]
fn st_07_a_failed_reload_leaves_the_methods_as_they_were() {
    let app_ = App::start(&[("app", &app("first", 1, ""))]);
    for text in [app("second", 2, "throw \"no\";"), format!("{} throw \"no\";", app("second", 2, ""))] {
        app_.edit("app", &text);
        app_.refused();
        assert_eq!((app_.count("app", "hit"), app_.get("app", "said")), (1, Value::Null), "{text}");
    }
    assert_eq!(app_.count("app", "n"), 2);
}

#[test]
fn st_07_a_function_of_the_same_name_does_not_hide_a_method() {
    let text = "let Account = graceful::class(\"Account\", #{
            deposit: |n| { if n > 3 { throw \"too much\" } this.n += n; this.n } });
        let me = graceful::register_module(\"app\", #{ init: |m| { m.state.a = Account.create(#{ n: 1 }); } });
        fn deposit(n) {
            me.state.a.deposit(n)
        }
        fn twice() { this.n * 2 }
        fn doubled() { me.state.a.twice() }
        fn get(key) { me.state.get(key).n }
        fn len() { me.state.len() }
        fn status() { fiber::create(|| 1).status() }
        fn cancel() { fiber::create(|| 1).cancel() }";
    let app = App::start(&[("app", text)]);
    assert_eq!(app.call_with("app", "deposit", vec![2.into()]), Ok(3.into()));
    let error = app.call_with("app", "deposit", vec![4.into()]).unwrap_err().to_string();
    assert_eq!(error, "app.rhai:2:39: too much");
    assert_eq!(app.count("app", "doubled"), 6, "a function that is meant");
    assert_eq!(app.call_with("app", "get", vec!["a".into()]), Ok(3.into()));
    assert_eq!(app.count("app", "len"), 1);
    assert!(["running", "done"].contains(&app.get("app", "status").as_str().unwrap()));
    assert_eq!(app.get("app", "cancel"), Value::Null);
}

#[test]
fn call_01_a_call_in_flight_keeps_the_methods_it_began_with() {
    let text = |n: i64| {
        format!(
            "import \"probe\" as probe;
            let Item = graceful::class(\"Item\", #{{ n: || {n} }});
            let me = graceful::register_module(\"app\", #{{ init: |m| {{ m.state.item = Item.create(); }} }});
            fn slow() {{
                let first = me.state.item.n();
                probe::tell(\"in\");
                while !me.state.contains(\"end\") {{ fiber::sleep(0.005); }}
                [first, me.state.item.n()]
            }}
            fn end() {{ me.state.end = true; me.state.item.n() }}"
        )
    };
    let app = App::start(&[("app", &text(1))]);
    let (engine, clock) = (app.engine.clone(), app.clock.clone());
    let slow = std::thread::spawn(move || clock.block_on(engine.call("app", "slow", Vec::new())));
    app.until("it began", || !app.told().is_empty());
    app.edit("app", &text(2));
    committed(app.reload());
    assert_eq!(app.count("app", "end"), 2);
    assert_eq!(slow.join().unwrap(), Ok(vec![1.into(), 1.into()].into()));
}

#[test]
fn st_07_other_modules_call_the_methods_and_classes_come_from_others() {
    let shapes = |word: &str| {
        format!(
            "let Shape = graceful::class(\"Shape\", #{{
                name: || \"{word}\", area: || 0, tell: || `${{this.name()}} of ${{this.area()}}`,
                map: |f| f.call(this.side) }});
            export Shape;
            fn square(side) {{ Square.create(#{{ side: side }}) }}
            let Square = graceful::class(\"Square\", Shape, #{{ area: || this.side * this.side }});"
        )
    };
    let user = "import \"shapes\" as shapes;
        let Tiny = graceful::class(\"Tiny\", shapes::Shape, #{ name: || \"tiny\" });
        let me = graceful::register_module(\"app\", #{ init: |m| {
            m.state.all = [shapes::square(3), Tiny.create()];
        } });
        fn tell() { me.state.all.map(|shape| shape.tell()) }
        fn tenfold() { let ten = 10; me.state.all[0].map(|side| times(side, ten)) }
        fn times(a, b) { a * b }";
    let app = App::start(&[("app", user), ("shapes", &shapes("shape"))]);
    assert_eq!(app.get("app", "tell"), vec!["shape of 9".into(), "tiny of 0".into()].into());
    assert_eq!(app.count("app", "tenfold"), 30);
    app.edit("shapes", &shapes("form"));
    committed(app.reload());
    assert_eq!(app.get("app", "tell"), vec!["form of 9".into(), "tiny of 0".into()].into());
}

#[test]
fn st_07_a_migration_keeps_objects_in_their_class() {
    let text = |version: &str, word: &str, migrations: &str| {
        format!(
            "let Account = graceful::class(\"Account\", #{{ say: || `{word} ${{this.n}}` }});
            let me = graceful::register_module(\"app\", #{{ version: \"{version}\", {migrations}
                init: |m| {{ m.state.account = Account.create(#{{ n: 1 }}); }} }});
            fn say() {{ me.state.account.say() }}"
        )
    };
    let app = App::start(&[("app", &text("1.0.0", "old", ""))]);
    assert_eq!(app.get("app", "say"), "old 1".into());
    let up = "migrations: #{ \"1.0.0\": #{ to: \"2.0.0\", up: |state| {
        if state.account.say() != \"new 1\" { throw state.account.say() } state.account.n = 2;
    } } },";
    app.edit("app", &text("2.0.0", "new", up));
    committed(app.reload());
    assert_eq!(app.get("app", "say"), "new 2".into());
}

#[test]
fn st_07_what_is_wrong_with_a_class_is_told() {
    let wrong = |text: &str| App::new(&[("app", text)]).broken().to_string();
    let told = wrong("graceful::class(\"A\", #{ n: 1 });");
    assert_eq!(told, "app.rhai:1:11: class `A`, method `n`: expected a function, got integer");
    let told = wrong("graceful::class(\"A\", #{}); graceful::class(\"A\", #{});");
    assert_eq!(told, "app.rhai:1:38: class `A` is made twice");
    let text = "let A = graceful::class(\"A\", #{ near: || 1 });
        fn late() { graceful::class(\"B\", #{}) }
        fn known() { graceful::class(\"A\") == A }
        fn unknown() { graceful::class(\"B\") }
        fn far() { A.create().neer() }
        fn deep(n) { let a = A.create(#{ n: n }); a.n }";
    let app = App::start(&[("app", text)]);
    let told = |function: &str| app.call("app", function).unwrap_err().to_string();
    assert_eq!(told("late"), "app.rhai:2:31: class `B`: a class is made while its module loads, not later");
    assert_eq!(app.get("app", "known"), true.into());
    let unknown = "module `app` has no class `B`; its methods are given while its module loads";
    assert!(told("unknown").contains(unknown), "{}", told("unknown"));
    assert_eq!(told("far"), "app.rhai:5:31: class `A` has no method `neer`, did you mean `near`?");
}

#[test]
fn st_03_a_rollback_brings_back_what_objects_held() {
    let text = |rest: &str| {
        format!(
            "let A = graceful::class(\"A\", #{{ add: |n| this.n += n }});
            let me = graceful::register_module(\"app\", #{{ init: |m| {{ m.state.a = A.create(#{{ n: 1 }}); }},
                after_reload: |m| {{ m.state.a.add(41); {rest} }} }});
            fn n() {{ me.state.a.n }}"
        )
    };
    let app = App::start(&[("app", &text(""))]);
    app.edit("app", &text("throw \"no\""));
    app.refused();
    assert_eq!(app.count("app", "n"), 1);
    app.edit("app", &text("m.state.b = 1;"));
    let report = committed(app.reload());
    assert_eq!((app.count("app", "n"), report.warnings), (42, vec![]));
}

#[test]
fn tx_03_methods_that_call_each_other_for_ever_are_an_error() {
    let text = "let A = graceful::class(\"A\", #{
            down: |n| if n == 0 { 0 } else { this.down(n - 1) },
            low: |n| if n == 0 { 0 } else { this.low(n - 1) } });
        fn deep(n) { A.create().low(n) }
        fn down(n) { A.create().down(n) }";
    let app = App::start(&[("app", text)]);
    assert_eq!(app.call_with("app", "deep", vec![15.into()]), Ok(0.into()));
    for function in ["deep", "down"] {
        let error = app.call_with("app", function, vec![1000.into()]).unwrap_err().to_string();
        assert!(error.contains("stack overflow"), "{error}");
    }
}
