//! Names that a mistyped one may stand for, and how errors show them.

/// A longer name is similar to none: the comparison takes its length for each of the others.
const MAX_OCTETS: usize = 64;

/// The most similar of some names, if one differs in few characters.
#[must_use]
pub fn similar<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_OCTETS {
        return None;
    }
    let rated = names.into_iter().map(|other| {
        let likeness = strsim::normalized_damerau_levenshtein(name, other);
        (likeness, other)
    });
    let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(likeness, _)| *likeness >= 0.7)
        .map(|(_, other)| other)
}

/// The end of an error message with a similar name: `; similar: NAME`.
#[must_use]
pub fn hint(similar: &str) -> String {
    format!("; similar: {similar}")
}

#[cfg(test)]
mod tests {
    use super::similar;

    #[test]
    fn a_mistyped_name_is_similar_to_the_right_one_alone() {
        let names = ["metrics", "preset", "max_series", "max_edges"];
        assert_eq!(similar("metric", names), Some("metrics"));
        assert_eq!(similar("perset", names), Some("preset"));
        assert_eq!(similar("maxseries", names), Some("max_series"));
        assert_eq!(similar("families", names), None);
        assert_eq!(similar("", []), None);
    }
}
