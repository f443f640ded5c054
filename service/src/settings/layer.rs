//! A layer of the settings. `config` merges the layers and keeps the origin of each value.

use config::{ConfigError, Map, Source, Value, ValueKind};

/// The settings that are given in a layer, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(Map<String, Value>);

impl Layer {
    /// Adds the values of a setting: a single one, or those of a list.
    pub(super) fn insert(&mut self, key: &str, values: Vec<String>, origin: String) {
        let values = values.into_iter().map(|value| Value::new(None, value));
        let values = ValueKind::Array(values.collect());
        self.0
            .insert(key.to_owned(), Value::new(Some(&origin), values));
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}
