//! Why messages are not read.

use enum_map::Enum;
use strum::IntoStaticStr;

/// Why messages of HTTP were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum UnreadHttp {
    /// The start of the connection was not observed. None of its messages are read.
    StartNotObserved,
    /// The connection has HTTP/2.
    Http2,
    /// The connection has changed to another protocol, or is a tunnel.
    Upgraded,
    /// A segment with a part of a head, or with the size of a chunk, was not observed in its order.
    SegmentLost,
    /// Such a part of a segment was not captured.
    NotCaptured,
    /// A head has more octets than are kept.
    HeadTooLong,
    /// A head or a chunk is invalid.
    Invalid,
    /// Too many heads are put together at the same time.
    NoRoom,
    /// More requests wait for a response than are kept. The rest of the connection is not read.
    TooManyRequests,
    /// The place of the connection was needed for another one.
    Evicted,
}
