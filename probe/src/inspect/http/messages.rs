//! The messages of a packet, and what all connections share.

use enum_map::EnumMap;
use flowproto::host_name::MAX_OCTETS;
use flowproto::http::{HttpHealth, HttpRequest};

use super::head_pool::HeadPool;
use super::http2_memory::Http2Memory;
use super::targets::Targets;
use super::unread::UnreadHttp;

/// The messages of a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpMessages {
    /// Their counts.
    pub counts: HttpHealth,
    /// Requests of earlier packets whose response cannot be known any more.
    pub abandoned_requests: u32,
    /// The latest request.
    pub request: Option<HttpRequest>,
    /// Status code of the latest response; 0 without one.
    pub status_code: u16,
}

impl HttpMessages {
    pub(super) fn abandon(&mut self, requests: usize) {
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        self.abandoned_requests = self.abandoned_requests.saturating_add(requests);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.abandoned_requests == 0
    }
}

/// Of what so much is in use that what was kept for too long is to be freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scarce {
    /// Half of the room for heads and field blocks.
    pub(super) heads: bool,
    /// Memory of connections of HTTP/2.
    pub(super) http2_memory: bool,
}

/// What all connections share.
#[derive(Debug, Default)]
pub(super) struct HttpShared {
    pub(super) heads: HeadPool,
    pub(super) targets: Targets,
    pub(super) unread: EnumMap<UnreadHttp, u64>,
    /// Number of connections of HTTP/2.
    pub(super) http2_connections: usize,
    pub(super) http2_memory: Http2Memory,
    /// The host that the first request of an HTTP/2 connection in the current packet names.
    authority: Vec<u8>,
}

impl HttpShared {
    pub(super) fn count(&mut self, reason: UnreadHttp) {
        self.unread[reason] = self.unread[reason].saturating_add(1);
    }

    /// What is scarce.
    pub(super) fn scarce(&self) -> Scarce {
        Scarce {
            heads: self.heads.is_filling(),
            http2_memory: self.http2_memory.is_filling(),
        }
    }

    /// Begins the next packet.
    pub(super) fn begin_packet(&mut self) {
        self.authority.clear();
    }

    /// Keeps the host of a request until the next packet.
    pub(super) fn set_authority(&mut self, authority: &[u8]) {
        let host = authority.split(|octet| *octet == b':').next();
        let host = host.filter(|host| host.len() <= MAX_OCTETS && !host.starts_with(b"["));
        self.authority.clear();
        self.authority.extend_from_slice(host.unwrap_or_default());
    }

    /// The host of the request in the current packet, without its port; empty if there is none.
    pub(super) fn authority(&self) -> &[u8] {
        &self.authority
    }
}
