//! For tests of `graceful` and of its backends: scripts as data, a clock that stands still, sources in
//! memory, a reference backend, scenarios, and a conformance suite with one test for each promise.
//!
//! An app under test is an [`App`]: modules as [`Script`]s, in any language that has a [`Dialect`].
//!
//! The author of a backend implements [`Subject`] and runs the whole suite on it:
//!
//! ```
//! use graceful_testkit::FakeSubject; // yours: a backend, a dialect, what it can do
//! graceful_testkit::conformance!(FakeSubject);
//! # fn main() {}
//! ```
//!
//! [`sweep`](sweep::sweep) fails a reload of any app at each of its steps, [`update_points`](updates::update_points) reloads
//! at each point where a call can yield, and [`sim`] plays histories drawn from a seed.

pub mod op;
pub mod script;
pub mod random;
pub mod clock;
pub mod sources;
pub mod trace;
pub mod dialect;
pub mod fake;
pub mod subject;
pub mod native;
mod digest;
pub mod faults;
pub mod scenario;
#[macro_use]
pub mod conformance;
pub mod planted;
pub mod sim;
pub mod endurance;
pub mod sweep;
pub mod updates;
pub mod fuzz;

pub use clock::{ClockKind, ManualClock, Pending, Time, TokioClock};
pub use dialect::Dialect;
pub use endurance::Endurance;
pub use fake::{Fake, FakeBackend, FakeSubject};
pub use native::NativeSubject;
pub use scenario::{App, AppBuilder};
pub use script::Script;
pub use sources::MemorySources;
pub use subject::{Capabilities, Shelf, Subject};
pub use trace::Trace;
