//! "Did you mean": the known name closest to a misspelt one.

/// The name in `known` that is closest to `got`, if one is close enough to be what was meant.
pub(crate) fn nearest<'a>(got: &str, known: &[&'a str]) -> Option<&'a str> {
    let length = got.chars().count();
    let near = known.iter().filter_map(|name| {
        let other = name.chars().count();
        let far = (length.max(other) / 3).max(1);
        // A name of another length is that far away at least. Nobody compares a key of a megabyte letter by letter.
        if length.abs_diff(other) > far {
            return None;
        }
        Some((distance(got, name), *name)).filter(|(distance, _)| *distance <= far)
    });
    near.min().map(|(_, name)| name)
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let moved = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { moved.min(rows[i - 2][j - 2] + 1) } else { moved }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_stranger_is_not() {
        let known = ["listen", "entry", "name", "reload"];
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("ilsten", &known), Some("listen"));
        assert_eq!(nearest("entires", &known), None);
        assert_eq!(nearest("entires", &["entries", "entry"]), Some("entries"));
        assert_eq!(nearest("database", &known), None);
    }

    #[test]
    fn a_name_that_is_far_too_long_is_not_compared() {
        let (long, known) = ("listen".repeat(100_000), ["listen", "entry", "name", "reload"]);
        // Letter by letter this takes minutes.
        for _ in 0..400 {
            assert_eq!(nearest(&long, &known), None);
        }
    }
}
