//! The scrapes that are answered at the same time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lifetime::ConnectionLifetime;
use crate::sync::lock;

/// Maximum number of concurrent scrapes: two Prometheus servers and two people.
const MAX_SCRAPES: usize = 4;
/// A scrape is not displaced before this age.
pub(super) const MIN_AGE: Duration = Duration::from_secs(1);
/// A scrape that is faster than this is not displaced, octets per millisecond before compression.
const MIN_RATE: u64 = 1000;

/// Slots for scrapes. When none is free, a new scrape displaces the slowest one, if that is slower
/// than 1 MB/s, so clients that do not read, or read little, cannot keep others out.
#[derive(Clone, Debug, Default)]
pub(super) struct ScrapeSlots(Arc<Mutex<Vec<Arc<Progress>>>>);

/// Progress of a scrape.
#[derive(Debug)]
struct Progress {
    began: Instant,
    /// Octets that were produced before compression.
    octets: AtomicU64,
    /// The connection, if the listener can close it.
    connection: Option<ConnectionLifetime>,
}

impl ScrapeSlots {
    /// Takes a slot at `now`. `None` if all are in use and none of them can be displaced.
    pub(super) fn acquire(
        &self,
        connection: Option<ConnectionLifetime>,
        now: Instant,
    ) -> Option<ScrapeSlot> {
        let mut scrapes = lock(&self.0);
        if scrapes.len() >= MAX_SCRAPES {
            let slowest = slowest(&scrapes, now)?;
            if let Some(connection) = &scrapes.swap_remove(slowest).connection {
                connection.close();
            }
        }
        let progress = Arc::new(Progress {
            began: now,
            octets: AtomicU64::new(0),
            connection,
        });
        scrapes.push(Arc::clone(&progress));
        Some(ScrapeSlot {
            slots: self.clone(),
            progress,
        })
    }
}

/// The place of the scrape with the fewest octets per time, of those that are old enough and can be
/// closed.
fn slowest(scrapes: &[Arc<Progress>], now: Instant) -> Option<usize> {
    let rates = scrapes.iter().enumerate().filter_map(|(place, scrape)| {
        let age = now.saturating_duration_since(scrape.began);
        let can_end = scrape.connection.is_some() && age >= MIN_AGE;
        let milliseconds = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let rate = scrape.octets.load(Ordering::Relaxed) / milliseconds.max(1);
        (can_end && rate < MIN_RATE).then_some((rate, place))
    });
    rates.min().map(|(_, place)| place)
}

/// The slot of a scrape. It is free again when this value is dropped.
#[derive(Debug)]
pub(super) struct ScrapeSlot {
    slots: ScrapeSlots,
    progress: Arc<Progress>,
}

impl ScrapeSlot {
    /// The client has room for `octets` further octets.
    pub(super) fn advance(&self, octets: usize) {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.progress.octets.fetch_add(octets, Ordering::Relaxed);
    }
}

impl Drop for ScrapeSlot {
    fn drop(&mut self) {
        lock(&self.slots.0).retain(|other| !Arc::ptr_eq(other, &self.progress));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any time will do")]
    fn some_time() -> Instant {
        Instant::now()
    }

    fn is_closed(connection: &ConnectionLifetime) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(connection.closed()).poll(&mut context).is_ready()
    }

    fn taken(slots: &ScrapeSlots, now: Instant) -> Option<(ScrapeSlot, ConnectionLifetime)> {
        let connection = ConnectionLifetime::default();
        let slot = slots.acquire(Some(connection.clone()), now)?;
        Some((slot, connection))
    }

    #[test]
    fn a_new_scrape_displaces_the_slowest_one() {
        let (slots, began) = (ScrapeSlots::default(), some_time());
        let scrapes: Vec<_> = (0..4).map(|_| taken(&slots, began).unwrap()).collect();
        for (octets, (slot, _)) in [900, 100, 500, 700].into_iter().zip(&scrapes) {
            slot.advance(octets * 1000);
        }
        let later = began + MIN_AGE;
        let (fifth, _) = taken(&slots, later).unwrap();
        let closed: Vec<_> = scrapes
            .iter()
            .map(|(_, scrape)| is_closed(scrape))
            .collect();
        assert_eq!(closed, [false, true, false, false]);
        // The displaced one frees no slot when it ends.
        let mut scrapes = scrapes;
        scrapes.remove(1);
        let (_sixth, _) = taken(&slots, later).unwrap();
        assert!(is_closed(&scrapes[1].1));
        drop(fifth);
        // All that are left are young or fast.
        let (_seventh, _) = taken(&slots, later).unwrap();
        scrapes[0].0.advance(100_000);
        scrapes[2].0.advance(300_000);
        assert!(taken(&slots, later).is_none());
    }

    #[test]
    fn a_young_scrape_is_not_displaced() {
        let (slots, began) = (ScrapeSlots::default(), some_time());
        let scrapes: Vec<_> = (0..4).map(|_| taken(&slots, began).unwrap()).collect();
        assert!(taken(&slots, began + MIN_AGE / 2).is_none());
        assert!(scrapes.iter().all(|(_, scrape)| !is_closed(scrape)));
    }

    #[test]
    fn a_slot_is_free_after_its_scrape() {
        let (slots, now) = (ScrapeSlots::default(), some_time());
        for _ in 0..9 {
            assert!(slots.acquire(None, now).is_some());
        }
    }
}
