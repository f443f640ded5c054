//! Why a source of external attributes cannot be used.

use std::io;
use std::path::PathBuf;

use ipnet::IpNet;

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
