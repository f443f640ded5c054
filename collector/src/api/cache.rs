//! Answers that were given since the last drain: pages that show the same ask for the same.

use std::sync::Mutex;

use bytes::Bytes;
use kipfix_service::sync::lock;

/// Maximum memory, octets.
const MAX_OCTETS: usize = 8 << 20;
/// Maximum number of answers.
const MAX_ANSWERS: usize = 64;

/// Answers by query.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    generation: u64,
    answers: Vec<(Box<str>, Bytes)>,
    octets: usize,
}

impl Cache {
    /// The answer to a query of a generation of the data.
    pub(super) fn get(&self, generation: u64, query: &str) -> Option<Bytes> {
        let cached = lock(&self.0);
        if cached.generation != generation {
            return None;
        }
        let mut answers = cached.answers.iter();
        let (_, answer) = answers.find(|(known, _)| **known == *query)?;
        Some(answer.clone())
    }

    /// Keeps an answer, if there is room for it.
    pub(super) fn insert(&self, generation: u64, query: &str, answer: &Bytes) {
        let mut cached = lock(&self.0);
        if cached.generation != generation {
            *cached = Answers {
                generation,
                ..Answers::default()
            };
        }
        let octets = cached.octets.saturating_add(query.len() + answer.len());
        if octets <= MAX_OCTETS && cached.answers.len() < MAX_ANSWERS {
            cached.octets = octets;
            cached.answers.push((query.into(), answer.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_until_the_data_changes() {
        let cache = Cache::default();
        let answer = Bytes::from_static(b"{}");
        cache.insert(1, "limit=1", &answer);
        assert_eq!(cache.get(1, "limit=1"), Some(answer.clone()));
        assert_eq!(cache.get(1, "limit=2"), None);
        assert_eq!(cache.get(2, "limit=1"), None);
        cache.insert(2, "limit=2", &answer);
        assert_eq!(cache.get(2, "limit=1"), None);
    }

    #[test]
    fn the_memory_of_answers_is_limited() {
        let cache = Cache::default();
        let large = Bytes::from(vec![b' '; MAX_OCTETS / 2]);
        for query in ["a", "b", "c"] {
            cache.insert(1, query, &large);
        }
        let kept = ["a", "b", "c"].map(|query| cache.get(1, query).is_some());
        assert_eq!(kept, [true, false, false]);
    }
}
