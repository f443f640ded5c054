//! Reloads source files when they change and publishes a new snapshot. If a changed file cannot be
//! used, its previous content stays in use. That is logged once and counted.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use kipfix_service::file_stamp::FileStamp;
use kipfix_service::signals::Stop;

use super::attribute_table::AttributeTable;
use super::error::ExternalError;
use super::layer::Layer;
use super::snapshot::{ExternalSnapshot, named_cidrs};
use super::source_file::{self, FileFormat};
use super::sources::ExternalSources;

/// The current [`ExternalSnapshot`], for any number of readers.
#[derive(Debug, Default)]
pub struct PublishedExternal {
    current: ArcSwap<ExternalSnapshot>,
    reloads: AtomicU64,
    failures: AtomicU64,
    broken: AtomicU64,
}

/// Counts and sizes of [`PublishedExternal`], for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExternalCounts {
    /// Reloads of changed files that succeeded.
    pub reloads: u64,
    /// Reloads of changed files that failed.
    pub failures: u64,
    /// Files whose last reload failed. Their previous content is in use.
    pub broken_files: u64,
    /// Address ranges with distinct attributes.
    pub ranges: u64,
    /// Address ranges with [`super::ExternalId::OTHER`].
    pub other_ranges: u64,
    /// Distinct combinations of attributes, at most [`ExternalSources::max_combinations`].
    pub combinations: u64,
}

impl PublishedExternal {
    /// Returns the current snapshot without a lock. Keep it for one batch of records at most.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<ExternalSnapshot>> {
        self.current.load()
    }

    /// Returns the current snapshot as a shared reference that can be kept.
    #[must_use]
    pub fn load_full(&self) -> Arc<ExternalSnapshot> {
        self.current.load_full()
    }

    /// Returns the current counts and sizes.
    #[must_use]
    pub fn counts(&self) -> ExternalCounts {
        let snapshot = self.load();
        let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        ExternalCounts {
            reloads: self.reloads.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            broken_files: self.broken.load(Ordering::Relaxed),
            ranges: number(snapshot.ranges()),
            other_ranges: number(snapshot.other_ranges()),
            combinations: number(snapshot.combinations()),
        }
    }
}

/// Reads the source files and reloads those that change.
#[derive(Debug)]
pub struct ExternalWatcher {
    cidrs: Layer,
    /// In descending order of precedence.
    sources: Vec<Source>,
    attributes: AttributeTable,
    published: Arc<PublishedExternal>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    format: FileFormat,
    /// Version of the file at the last attempt to read it.
    stamp: Option<FileStamp>,
    /// Content of the last version that could be used.
    layer: Layer,
    broken: bool,
}

impl ExternalWatcher {
    /// Reads all sources.
    ///
    /// # Errors
    /// A source cannot be used.
    pub fn new(sources: &ExternalSources) -> Result<Self, ExternalError> {
        let cidrs = named_cidrs(&sources.cidrs)?;
        let clouds = sources
            .cloud_ranges
            .iter()
            .map(|path| (path, FileFormat::CloudRanges));
        let databases = sources
            .databases
            .iter()
            .map(|path| (path, FileFormat::Database));
        let files = clouds
            .chain(databases)
            .map(|(path, format)| Source::open(path.clone(), format))
            .collect::<Result<Vec<_>, _>>()?;
        let mut attributes = AttributeTable::new(sources.max_combinations);
        let snapshot = snapshot(&cidrs, &files, &mut attributes);
        Ok(Self {
            cidrs,
            sources: files,
            attributes,
            published: Arc::new(PublishedExternal {
                current: ArcSwap::from_pointee(snapshot),
                reloads: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                broken: AtomicU64::new(0),
            }),
        })
    }

    /// Returns whether there are files to watch.
    #[must_use]
    pub fn has_files(&self) -> bool {
        !self.sources.is_empty()
    }

    /// Returns where the snapshots are published.
    #[must_use]
    pub fn published(&self) -> Arc<PublishedExternal> {
        Arc::clone(&self.published)
    }

    /// Reloads changed files and publishes a new snapshot. Returns whether a file was reloaded.
    /// Takes seconds for a large database, so it runs on its own thread.
    pub fn poll(&mut self) -> bool {
        let mut changed = false;
        for source in &mut self.sources {
            let stamp = FileStamp::of(&source.path);
            if stamp == source.stamp {
                continue;
            }
            // Set before the file is read, so that a change while it is read is detected.
            source.stamp = stamp;
            match source_file::read(&source.path, source.format) {
                Ok(layer) => {
                    source.layer = layer;
                    source.broken = false;
                    changed = true;
                    self.published.reloads.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(file = %source.path.display(), "reloaded changed file");
                }
                Err(error) => {
                    self.published.failures.fetch_add(1, Ordering::Relaxed);
                    if !source.broken {
                        tracing::warn!(%error, "cannot use changed file; keeping previous content");
                    }
                    source.broken = true;
                }
            }
        }
        let broken = self.sources.iter().filter(|source| source.broken).count();
        let broken = u64::try_from(broken).unwrap_or(u64::MAX);
        self.published.broken.store(broken, Ordering::Relaxed);
        if changed {
            let snapshot = snapshot(&self.cidrs, &self.sources, &mut self.attributes);
            self.published.current.store(Arc::new(snapshot));
        }
        changed
    }

    /// Calls [`Self::poll`] at each interval until the stop.
    pub fn run(mut self, interval: Duration, stop: &Stop) {
        while !stop.wait_timeout(interval) {
            self.poll();
        }
    }
}

impl Source {
    fn open(path: PathBuf, format: FileFormat) -> Result<Self, ExternalError> {
        let stamp = FileStamp::of(&path);
        let layer = source_file::read(&path, format)?;
        Ok(Self {
            path,
            format,
            stamp,
            layer,
            broken: false,
        })
    }
}

fn snapshot(
    cidrs: &Layer,
    sources: &[Source],
    attributes: &mut AttributeTable,
) -> ExternalSnapshot {
    let layers = sources.iter().map(|source| &source.layer);
    ExternalSnapshot::of(std::iter::once(cidrs).chain(layers), attributes)
}

/// Reads all sources once.
///
/// # Errors
/// A source cannot be used.
pub fn load(sources: &ExternalSources) -> Result<Arc<ExternalSnapshot>, ExternalError> {
    Ok(ExternalWatcher::new(sources)?.published().load_full())
}
