//! The settings that a layer has.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// The values of a setting in one layer: a single one, or those of a list.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) values: Vec<OsString>,
    /// Where the values come from, for messages.
    pub(super) origin: String,
}

/// The settings that are given in a layer, by key.
pub(super) type Layer = BTreeMap<String, Given>;
