//! The messages of HTTP/2 in clear text (RFC 9113): with prior knowledge, or after an upgrade.
//!
//! A connection is read from its first octet on, because field blocks refer to earlier ones.
//! Segments out of order are kept until the missing ones arrive, for up to 10 s. If octets are
//! missing for good, and are not all part of one body, the rest of the connection is not read.
//! Sizes of dynamic tables are those that encoders announce in their blocks, so settings are not
//! needed.
//!
//! * [`frame`]: headers of frames;
//! * [`frame_reader`]: the frames of one direction, and the field blocks in them;
//! * [`hpack`]: decoding of field blocks;
//! * [`fields`]: the fields that are read;
//! * [`direction`]: segments in order;
//! * [`open_requests`]: requests by stream;
//! * [`exchange`]: a connection.

mod direction;
mod exchange;
mod fields;
mod frame;
mod frame_reader;
mod hpack;
mod open_requests;

pub(super) use exchange::{End, Http2Exchange, UpgradeRequest};
pub(super) use frame::{PREFACE, begins_with_block, begins_with_settings};
