//! Labels of pods and namespaces: those of chosen keys.

use std::sync::Arc;

/// The keys of the labels that are kept. All others are not stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptLabels {
    /// Keys of pod labels.
    pub pods: Vec<String>,
    /// Keys of namespace labels.
    pub namespaces: Vec<String>,
}

/// Labels of an object. Objects with the same labels share them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSet(
    /// Keys and values, in the order of the kept keys.
    Box<[(Arc<str>, Arc<str>)]>,
);

impl LabelSet {
    pub(super) fn new(labels: impl Iterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        Self(labels.collect())
    }

    /// The value of a label. Empty if there is none.
    #[must_use]
    pub fn get(&self, key: &str) -> &str {
        let mut all = self.0.iter();
        all.find(|(other, _)| **other == *key)
            .map_or("", |(_, value)| value)
    }

    /// Keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// True if there is no label.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The labels of kept keys, given a function that finds the value of a key.
pub(super) fn kept<'a>(
    keys: &'a [String],
    value: impl Fn(&str) -> Option<&'a str>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let labels = keys
        .iter()
        .filter_map(move |key| Some((key.as_str(), value(key)?)));
    labels.filter(|(_, value)| !value.is_empty())
}
