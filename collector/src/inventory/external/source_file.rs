//! A file as it is read: bounded, and recognised when it is another one.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::layer::Layer;
use super::{cloud_ranges, databases};

/// Why it cannot be said who is who outside.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// A file cannot be used.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: FileError,
    },
    /// One CIDR has two names.
    #[error("CIDR {cidr} is named {first:?} and {second:?}; allowed is one name for a CIDR")]
    Cidr {
        /// The CIDR.
        cidr: IpNet,
        /// The name that came first.
        first: String,
        /// The name that came later.
        second: String,
    },
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// A directory, a pipe, a device.
    #[error("is no regular file")]
    Irregular,
    /// Larger than any such file is.
    #[error("has {octets} octets, more than the {most} that are read")]
    TooLarge {
        /// Its size.
        octets: u64,
        /// The limit.
        most: u64,
    },
    /// It is no database in MaxMind's format, or a damaged one.
    #[error("is no usable MaxMind-format database: {0}")]
    Database(#[source] maxminddb::MaxMindDbError),
    /// It is such a database, but of something else.
    #[error("database {database_type:?} knows neither autonomous systems nor countries")]
    NothingKnown {
        /// What the database says that it is.
        database_type: String,
    },
    /// It is no JSON, or not as published.
    #[error("is no usable file of cloud ranges: {0}")]
    Json(#[source] serde_json::Error),
    /// It is JSON of some other kind.
    #[error(
        "has no address ranges as AWS ip-ranges.json, Google cloud.json or goog.json, or Azure \
         ServiceTags have them"
    )]
    UnknownLayout,
    /// More of something than any such file has.
    #[error("has more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
}

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileFormat {
    /// MaxMind's format.
    Database,
    /// A cloud's JSON.
    CloudRanges,
}

impl FileFormat {
    /// Octets that are read at the most: several times what the largest published ones have.
    const fn most_octets(self) -> u64 {
        match self {
            Self::Database => 1 << 30,
            Self::CloudRanges => 32 << 20,
        }
    }
}

/// Tells one state of a file from another. Symbolic links are followed, so that a mounted ConfigMap,
/// which changes by a swapped link, shows another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    device: u64,
    inode: u64,
    octets: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// The state now; `None` where there is no such file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::from)
    }
}

impl From<&Metadata> for FileStamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            octets: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What the file says.
pub(super) fn read(path: &Path, kind: FileFormat) -> Result<Layer, ExternalError> {
    octets(path, kind.most_octets())
        .and_then(|octets| match kind {
            FileFormat::Database => databases::parse(octets),
            FileFormat::CloudRanges => cloud_ranges::parse(&octets),
        })
        .map_err(|error| ExternalError::File {
            path: path.to_owned(),
            error,
        })
}

fn octets(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    // Asked before it is opened: opening a pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(FileError::Unreadable)?;
    if !metadata.is_file() {
        return Err(FileError::Irregular);
    }
    let octets = metadata.len();
    let mut read = Vec::new();
    if octets <= most {
        // One more than allowed, for a file that grows meanwhile.
        let file = File::open(path).map_err(FileError::Unreadable)?;
        file.take(most.saturating_add(1))
            .read_to_end(&mut read)
            .map_err(FileError::Unreadable)?;
    }
    let octets = octets.max(u64::try_from(read.len()).unwrap_or(u64::MAX));
    if octets > most {
        return Err(FileError::TooLarge { octets, most });
    }
    Ok(read)
}
