//! Why messages are not read.

use enum_map::Enum;
use strum::IntoStaticStr;

/// Why messages of HTTP were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum UnreadHttp {
    /// The start of the connection was not observed. None of its messages are read.
    StartNotObserved,
    /// The connection has changed to another protocol than HTTP/2, or is a tunnel.
    Upgraded,
    /// A segment with a part of a head, of a frame, or with the size of a chunk, was not observed;
    /// of HTTP/1, or not in its order.
    SegmentLost,
    /// Such a part of a segment was not captured.
    NotCaptured,
    /// A head or a field block has more octets than are kept or read.
    HeadTooLong,
    /// A head, a chunk, a frame or a field block is invalid.
    Invalid,
    /// The dynamic table of a sender of HTTP/2 is larger than the maximum.
    TableTooLarge,
    /// Too many heads are put together at the same time, or connections of HTTP/2 keep too many
    /// octets: a new head or a growing connection, and a head that has not ended for 10 s.
    NoRoom,
    /// The connections of HTTP/2 of one client address keep too many octets. A growing connection
    /// is not read any more.
    NoRoomForClient,
    /// More requests wait for a response than are kept. Of HTTP/1, the rest of the connection is
    /// not read; of HTTP/2, the oldest request.
    TooManyRequests,
    /// The place of the connection was needed for another one.
    Evicted,
}
