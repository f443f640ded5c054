//! The exposition of all families: self-metrics, information on nodes and namespaces, then the
//! series of traffic in chunks.

use std::sync::Arc;

use kipfix_service::exposition::{self, CHUNK_OCTETS, Chunks, Format, Written};

use super::{Scrape, info};
use crate::aggregate::{SeriesChunks, ShownValues};
use crate::clock;

/// An exposition in progress, without the end mark.
#[derive(Debug)]
pub struct ScrapeChunks {
    scrape: Arc<Scrape>,
    head: Written,
    is_head_complete: bool,
    series: SeriesChunks,
    /// Time that was needed for it so far, seconds.
    seconds: f64,
    is_final: bool,
}

impl Scrape {
    /// Begins an exposition of all families as a scrape shows them. Drains the pipelines.
    #[must_use]
    pub fn begin(self: &Arc<Self>, format: Format) -> ScrapeChunks {
        self.exposition(format, false)
    }

    /// Begins an exposition of all families with their final values.
    #[must_use]
    pub fn begin_final(self: &Arc<Self>, format: Format) -> ScrapeChunks {
        self.exposition(format, true)
    }

    fn exposition(self: &Arc<Self>, format: Format, is_final: bool) -> ScrapeChunks {
        let began = clock::monotonic();
        let now = self.clock.now();
        self.metrics.publish(&self.drain());
        let mut head = Vec::new();
        exposition::write_registry(self.metrics.registry(), format, &mut head);
        let snapshots = self.store.load();
        info::write(&snapshots.index, &snapshots.cluster_name, format, &mut head);
        let shown = if is_final {
            ShownValues::Final
        } else {
            ShownValues::Scrape(now)
        };
        ScrapeChunks {
            scrape: Arc::clone(self),
            head: head.into(),
            is_head_complete: false,
            series: SeriesChunks::new(Arc::clone(&self.series), format, shown),
            seconds: began.elapsed().as_secs_f64(),
            is_final,
        }
    }
}

impl Chunks for ScrapeChunks {
    fn write_chunk(&mut self, out: &mut Vec<u8>) -> bool {
        let began = clock::monotonic();
        if !self.is_head_complete {
            self.is_head_complete = !self.head.write_chunk(out);
        }
        let is_more =
            !self.is_head_complete || out.len() >= CHUNK_OCTETS || self.series.write_chunk(out);
        self.seconds += began.elapsed().as_secs_f64();
        if !is_more && !self.is_final {
            self.scrape.metrics.on_scrape(self.seconds);
        }
        is_more
    }
}
