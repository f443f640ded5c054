//! Reading of a source file, with a size limit.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::{ExternalError, FileError};
use super::layer::Layer;
use super::{cloud_ranges, databases};

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
