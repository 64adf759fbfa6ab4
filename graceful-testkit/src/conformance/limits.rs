//! What a subject says it cannot do.

use crate::Subject;

/// The capabilities fit together, and what is missing is told.
pub fn limits_fit_together_and_are_told<S: Subject>() {
    let can = S::capabilities();
    eprintln!("limits of {}: {}", S::dialect().backend(), can.missing().join(", "));
    assert_eq!(can.contradictions(), Vec::<String>::new());
}
