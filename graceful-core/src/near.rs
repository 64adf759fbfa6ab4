//! The name that was meant by one that is not known: for backends that check what scripts give them.

/// The one of `known` that `unknown` is a slip of the pen away from.
///
/// ```
/// # use graceful_core::near::nearest;
/// assert_eq!(nearest("finilize", ["init", "finalize"].into_iter()), Some("finalize"));
/// assert_eq!(nearest("colour", ["init", "finalize"].into_iter()), None);
/// ```
pub fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = unknown.chars().count();
    let near = known.filter_map(|known| {
        let far = 1 + known.len() / 4;
        // A name of another length is that far away at least. Nobody compares a name of a megabyte letter by letter.
        if length.abs_diff(known.chars().count()) > far {
            return None;
        }
        Some((distance(unknown, known), known)).filter(|(distance, _)| *distance <= far)
    });
    near.min().map(|(_, known)| known)
}

/// The question that follows an unknown name: `` , did you mean `finalize`? ``.
pub fn meant(known: &str) -> String {
    format!(", did you mean `{known}`?")
}

/// How many letters to change, add or drop to make `a` of `b`.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn a_slip_is_mended_and_another_word_is_not() {
        let known = || ["finalize", "init", "version"].into_iter();
        assert_eq!(nearest("finilize", known()), Some("finalize"));
        assert_eq!(nearest("inti", known()), Some("init"));
        assert_eq!(nearest("colour", known()), None);
    }

    #[test]
    fn a_name_that_is_far_too_long_is_not_compared() {
        let long = "init".repeat(150_000);
        // Letter by letter this takes minutes.
        for _ in 0..400 {
            assert_eq!(nearest(&long, ["finalize", "init", "version"].into_iter()), None);
        }
    }

    #[test]
    fn the_distance_is_the_fewest_changes() {
        assert_eq!(distance("finalize", "finilize"), 1);
        assert_eq!(distance("init", "initial"), 3);
        assert_eq!(distance("drain", "drain"), 0);
    }
}
