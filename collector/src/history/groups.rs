//! Edges with the same values of some fields, as one.

use std::fmt::Write as _;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::edge::StoredEdge;
use super::interval::EdgeKey;
use super::measures::EdgeValues;
use crate::aggregate::field::Field;

/// A group: an edge of it, and the sum of all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// The edge by which its labels are read.
    pub(super) edge: EdgeKey,
    pub(super) sum: EdgeValues,
}

/// Groups by the values of their fields.
#[derive(Debug)]
pub(super) struct Groups<'a> {
    fields: &'a [Field],
    rows: Vec<Group>,
    /// The values of each row.
    keys: Vec<Box<str>>,
    table: HashTable<usize>,
    hasher: RandomState,
    key: String,
}

impl<'a> Groups<'a> {
    pub(super) fn new(fields: &'a [Field]) -> Self {
        Self {
            fields,
            rows: Vec::new(),
            keys: Vec::new(),
            table: HashTable::new(),
            hasher: RandomState::default(),
            key: String::new(),
        }
    }

    /// The position of the group of an edge, if there is one.
    pub(super) fn position(&mut self, edge: StoredEdge<'_>) -> Option<usize> {
        let hash = self.write_key(edge);
        self.find(hash)
    }

    /// Adds an edge. Returns the number of groups.
    pub(super) fn add(&mut self, key: EdgeKey, edge: StoredEdge<'_>, values: &EdgeValues) -> usize {
        let hash = self.write_key(edge);
        if let Some(at) = self.find(hash) {
            if let Some(row) = self.rows.get_mut(at) {
                row.sum.add(values);
            }
        } else {
            let (keys, hasher) = (&self.keys, &self.hasher);
            let rehash = |at: &usize| hasher.hash_one(keys.get(*at).map_or("", |key| key));
            self.table.insert_unique(hash, self.rows.len(), rehash);
            self.keys.push(self.key.as_str().into());
            self.rows.push(Group {
                edge: key,
                sum: *values,
            });
        }
        self.rows.len()
    }

    /// The groups by position.
    pub(super) fn rows(&self) -> &[Group] {
        &self.rows
    }

    fn find(&self, hash: u64) -> Option<usize> {
        let is_same = |at: &usize| self.keys.get(*at).is_some_and(|key| **key == *self.key);
        self.table.find(hash, is_same).copied()
    }

    /// Writes the values of the fields, so that different values give different texts.
    fn write_key(&mut self, edge: StoredEdge<'_>) -> u64 {
        self.key.clear();
        for field in self.fields {
            let begin = self.key.len();
            // Writing to a String cannot fail. With the length behind it, a value cannot be taken
            // for parts of two others.
            write!(self.key, "{}", edge.get(field)).ok();
            let length = self.key.len() - begin;
            write!(self.key, "\0{length}\0").ok();
        }
        self.hasher.hash_one(self.key.as_str())
    }
}
