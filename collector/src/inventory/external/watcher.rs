//! Watches the files: what changed is read again off the data's path and published whole. A file that
//! went bad keeps what it said before; that is logged once and counted.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use kipfix_service::signals::Stop;

use super::attribute_table::AttributeTable;
use super::layer::Layer;
use super::source_file::{self, FileFormat, FileStamp};
use super::{ExternalError, ExternalSnapshot, ExternalSources, named};

/// The newest [`ExternalSnapshot`], for any number of readers.
#[derive(Debug, Default)]
pub struct PublishedExternal {
    current: ArcSwap<ExternalSnapshot>,
    reloads: AtomicU64,
    failures: AtomicU64,
    broken: AtomicU64,
}

/// Numbers of [`PublishedExternal`] for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExternalCounts {
    /// Files that were read again after they had changed, and used.
    pub reloads: u64,
    /// Files that had changed and could not be used.
    pub failures: u64,
    /// Files now that are as the last failure left them: what they said before is in use.
    pub broken_files: u64,
    /// Address ranges told apart.
    pub ranges: u64,
    /// Address ranges that are [`super::ExternalId::OTHER`].
    pub other_ranges: u64,
    /// Combinations of attributes known, of [`ExternalSources::max_combinations`].
    pub combinations: u64,
}

impl PublishedExternal {
    /// The newest snapshot; no lock. Hold it for a batch of records, not longer.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<ExternalSnapshot>> {
        self.current.load()
    }

    /// The newest snapshot, to keep.
    #[must_use]
    pub fn load_full(&self) -> Arc<ExternalSnapshot> {
        self.current.load_full()
    }

    /// The numbers now.
    #[must_use]
    pub fn counts(&self) -> ExternalCounts {
        let outside = self.load();
        let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        ExternalCounts {
            reloads: self.reloads.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            broken_files: self.broken.load(Ordering::Relaxed),
            ranges: number(outside.ranges()),
            other_ranges: number(outside.other_ranges()),
            combinations: number(outside.combinations()),
        }
    }
}

/// Reads the files and watches them.
#[derive(Debug)]
pub struct ExternalWatcher {
    cidrs: Layer,
    /// In order of belief.
    sources: Vec<Source>,
    names: AttributeTable,
    published: Arc<PublishedExternal>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    kind: FileFormat,
    /// As it was when it was last read, or could not be.
    stamp: Option<FileStamp>,
    /// What it said when it was last good.
    layer: Layer,
    broken: bool,
}

impl ExternalWatcher {
    /// Reads all of `files`.
    ///
    /// # Errors
    /// One of them cannot be used: a sentence that names it and the reason.
    pub fn new(files: &ExternalSources) -> Result<Self, ExternalError> {
        let cidrs = named(&files.cidrs)?;
        let clouds = files
            .cloud_ranges
            .iter()
            .map(|path| (path, FileFormat::CloudRanges));
        let databases = files
            .databases
            .iter()
            .map(|path| (path, FileFormat::Database));
        let sources = clouds
            .chain(databases)
            .map(|(path, kind)| Source::open(path.clone(), kind))
            .collect::<Result<Vec<_>, _>>()?;
        let mut names = AttributeTable::new(files.max_combinations);
        let outside = outside(&cidrs, &sources, &mut names);
        Ok(Self {
            cidrs,
            sources,
            names,
            published: Arc::new(PublishedExternal {
                current: ArcSwap::from_pointee(outside),
                reloads: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                broken: AtomicU64::new(0),
            }),
        })
    }

    /// Whether there are files to watch.
    #[must_use]
    pub fn has_files(&self) -> bool {
        !self.sources.is_empty()
    }

    /// Where the snapshots are published.
    #[must_use]
    pub fn published(&self) -> Arc<PublishedExternal> {
        Arc::clone(&self.published)
    }

    /// Looks at every file, reads what changed and publishes the result; says whether it did. Takes
    /// seconds where a large database changed, so it has a thread of its own.
    pub fn poll(&mut self) -> bool {
        let mut changed = false;
        for source in &mut self.sources {
            let stamp = FileStamp::of(&source.path);
            if stamp == source.stamp {
                continue;
            }
            // Taken before the file is read: a change meanwhile shows next time.
            source.stamp = stamp;
            match source_file::read(&source.path, source.kind) {
                Ok(layer) => {
                    source.layer = layer;
                    source.broken = false;
                    changed = true;
                    self.published.reloads.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(file = %source.path.display(), "read again after a change");
                }
                Err(error) => {
                    self.published.failures.fetch_add(1, Ordering::Relaxed);
                    if !source.broken {
                        tracing::warn!(%error, "changed file not used, what it said before is");
                    }
                    source.broken = true;
                }
            }
        }
        let broken = self.sources.iter().filter(|source| source.broken).count();
        let broken = u64::try_from(broken).unwrap_or(u64::MAX);
        self.published.broken.store(broken, Ordering::Relaxed);
        if changed {
            let outside = outside(&self.cidrs, &self.sources, &mut self.names);
            self.published.current.store(Arc::new(outside));
        }
        changed
    }

    /// Polls until the stop.
    pub fn run(mut self, every: Duration, stop: &Stop) {
        while !stop.wait_timeout(every) {
            self.poll();
        }
    }
}

impl Source {
    fn open(path: PathBuf, kind: FileFormat) -> Result<Self, ExternalError> {
        let stamp = FileStamp::of(&path);
        let layer = source_file::read(&path, kind)?;
        Ok(Self {
            path,
            kind,
            stamp,
            layer,
            broken: false,
        })
    }
}

fn outside(cidrs: &Layer, sources: &[Source], names: &mut AttributeTable) -> ExternalSnapshot {
    let layers = sources.iter().map(|source| &source.layer);
    ExternalSnapshot::of(std::iter::once(cidrs).chain(layers), names)
}
