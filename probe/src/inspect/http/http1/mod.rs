//! The messages of HTTP/1 (RFC 9112).
//!
//! Heads are read, and bodies are skipped by sequence numbers, so that a lost or truncated segment
//! inside a body does no harm. Where a head was lost, reading begins again with the next segment
//! that begins with a message.
//!
//! * [`head`]: the head of a message, and the length of its body;
//! * [`stream`]: the messages of one direction.

pub(super) mod head;
pub(super) mod stream;
