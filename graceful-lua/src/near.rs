//! The name that was meant by one that is not known.

/// The one of `known` that `unknown` is a slip of the pen away from.
pub(crate) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|known| (distance(unknown, known), known)).min();
    near.filter(|(distance, known)| *distance <= 1 + known.len() / 4).map(|(_, known)| known)
}

/// The question that follows an unknown name.
pub(crate) fn meant(known: &str) -> String {
    format!(", did you mean `{known}`?")
}

/// How many letters must change to make `a` of `b`.
fn distance(a: &str, b: &str) -> usize {
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
    use super::nearest;

    #[test]
    fn a_slip_is_mended_and_another_word_is_not() {
        let known = || ["finalize", "init", "version"].into_iter();
        assert_eq!(nearest("finilize", known()), Some("finalize"));
        assert_eq!(nearest("inti", known()), Some("init"));
        assert_eq!(nearest("colour", known()), None);
    }
}
