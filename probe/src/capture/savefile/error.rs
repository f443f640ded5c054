//! Why a savefile cannot be read.

use std::io;

use kipfix_savefile::FormatError;

/// Why a savefile cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum SavefileError {
    /// The system reports an error.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// The format is not supported, or the file contradicts it.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The file ends within a frame or block.
    #[error("truncated: the file ends within a frame")]
    Truncated,
    /// No frame of the file has a supported link type.
    #[error(
        "unsupported link type {0}: must be Ethernet, Linux cooked, raw IP, loopback, PPP, 802.11, \
         or another one that carries IP packets (docs/counting.md lists them)"
    )]
    UnsupportedLinkType(String),
    /// libpcap has no filters for a link type of the file.
    #[error("link type {0}: filters are not supported")]
    UnsupportedFilter(String),
    /// The filter is invalid for a link type of the file.
    #[error("invalid filter {filter:?}: {message}")]
    InvalidFilter {
        /// The expression.
        filter: String,
        /// The message of libpcap.
        message: String,
    },
}
