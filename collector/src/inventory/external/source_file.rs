//! Reading of a source file, with a size limit and detection of changes.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::layer::Layer;
use super::{cloud_ranges, databases};

/// Why a source of external attributes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// A file cannot be used.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        error: FileError,
    },
    /// A CIDR has two names.
    #[error("CIDR {cidr} has two names, {first:?} and {second:?}: must be one")]
    Cidr {
        /// The CIDR.
        cidr: IpNet,
        /// The first name.
        first: String,
        /// The second name.
        second: String,
    },
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// The path is a directory, a pipe or a device.
    #[error("not a regular file")]
    Irregular,
    /// The file exceeds the maximum size.
    #[error("too large: {octets} octets, maximum {max}")]
    TooLarge {
        /// Size in octets.
        octets: u64,
        /// Maximum size in octets.
        max: u64,
    },
    /// The file is not a valid MaxMind DB.
    #[error("invalid MaxMind DB: {0}")]
    Database(#[source] maxminddb::MaxMindDbError),
    /// The database has neither autonomous systems nor countries.
    #[error("database type {database_type:?} has neither autonomous systems nor countries")]
    NoKnownFields {
        /// Type from the metadata of the database.
        database_type: String,
    },
    /// The file is not JSON of a supported layout.
    #[error("invalid file of cloud ranges: {0}")]
    Json(#[source] serde_json::Error),
    /// The file is JSON without address ranges of a supported layout.
    #[error(
        "no address ranges found: must be AWS ip-ranges.json, Google cloud.json or goog.json, or \
         Azure ServiceTags"
    )]
    UnknownLayout,
    /// The file exceeds a limit.
    #[error("more than {max} {what}")]
    TooMany {
        /// What is limited.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// The format of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileFormat {
    /// MaxMind DB.
    Database,
    /// Published ranges of a cloud, JSON.
    CloudRanges,
}

impl FileFormat {
    /// Maximum size in octets: several times the size of the largest published files.
    const fn max_octets(self) -> u64 {
        match self {
            Self::Database => 1 << 30,
            Self::CloudRanges => 32 << 20,
        }
    }
}

/// Identifies a version of a file. Symbolic links are followed: a mounted ConfigMap is updated by
/// replacing a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    device: u64,
    inode: u64,
    octets: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// Returns the stamp of the current version, or `None` if the file does not exist.
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

/// Reads a file into a layer.
pub(super) fn read(path: &Path, format: FileFormat) -> Result<Layer, ExternalError> {
    octets(path, format.max_octets())
        .and_then(|octets| match format {
            FileFormat::Database => databases::parse(octets),
            FileFormat::CloudRanges => cloud_ranges::parse(&octets),
        })
        .map_err(|error| ExternalError::File {
            path: path.to_owned(),
            error,
        })
}

fn octets(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    // Checked before the file is opened: opening a pipe blocks until it has a writer.
    let metadata = std::fs::metadata(path).map_err(FileError::Unreadable)?;
    if !metadata.is_file() {
        return Err(FileError::Irregular);
    }
    let octets = metadata.len();
    let mut read = Vec::new();
    if octets <= max {
        // One octet more than allowed, to detect a file that grows.
        let file = File::open(path).map_err(FileError::Unreadable)?;
        file.take(max.saturating_add(1))
            .read_to_end(&mut read)
            .map_err(FileError::Unreadable)?;
    }
    let octets = octets.max(u64::try_from(read.len()).unwrap_or(u64::MAX));
    if octets > max {
        return Err(FileError::TooLarge { octets, max });
    }
    Ok(read)
}
