//! The conformance suite: for each promise of the contract the clauses that show it, run on any backend.
//!
//! Each clause is a function over a [`Subject`](crate::Subject), named by the promise's id and what it says.
//! [`conformance!`](crate::conformance!) makes one `#[test]` of each.

use look::{in_order, says, snapshot, words};

/// Ends a clause on a backend that cannot do what it needs.
macro_rules! needs {
    ($subject:ty: $($can:ident),+) => {
        let can = <$subject as $crate::Subject>::capabilities();
        $(if !can.$can {
            eprintln!("a limit of {}: {}", <$subject as $crate::Subject>::dialect().backend(), stringify!($can));
            return;
        })+
    };
}

mod look;
pub mod limits;
pub mod reg;
pub mod hook;
pub mod ord;
pub mod peers;
pub mod allowance;
pub mod tx;
pub mod undo;
pub mod offers;
pub mod call;
pub mod drain;
pub mod st;
pub mod objects;
pub mod codes;
pub mod scope;
pub mod told;
pub mod ver;
pub mod migrate;
pub mod migrate_undo;
pub mod shut;
pub mod role;
pub mod cfg;
pub mod sm;
pub mod resist;

mod suite;

/// One test for each named clause.
#[doc(hidden)]
#[macro_export]
macro_rules! clauses {
    ($subject:ty; $($group:ident: $($clause:ident),+;)+) => {
        $($(
            #[test]
            fn $clause() {
                $crate::conformance::$group::$clause::<$subject>();
            }
        )+)+
    };
}
