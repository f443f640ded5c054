//! The requests of a connection that have not ended.

use std::collections::VecDeque;

use flowproto::http::HttpMethod;

/// Requests of a connection that are kept. Servers allow 100 to 250 at the same time.
const MAX_REQUESTS: usize = 1024;

/// A request that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenRequest {
    /// The stream.
    pub(super) stream: u32,
    pub(super) method: HttpMethod,
    pub(super) started_ns: u64,
    pub(super) is_grpc: bool,
    /// Its response has begun.
    pub(super) has_response: bool,
}

/// The requests by stream.
#[derive(Debug, Default)]
pub(super) struct OpenRequests {
    /// In the order of their streams.
    requests: VecDeque<OpenRequest>,
    /// The latest stream.
    latest: u32,
    /// The latest stream whose request was removed to make room.
    evicted: u32,
}

impl OpenRequests {
    /// Octets of memory.
    pub(super) fn memory(&self) -> usize {
        let size = size_of::<OpenRequest>();
        self.requests.capacity().saturating_mul(size)
    }

    /// True if no request was made on a stream, nor on one after it (RFC 9113 §5.1.1).
    pub(super) const fn is_new(&self, stream: u32) -> bool {
        stream > self.latest && stream % 2 == 1
    }

    /// Adds a request on a new stream. False if the oldest one was removed to make room.
    pub(super) fn push(&mut self, request: OpenRequest) -> bool {
        self.latest = request.stream;
        let has_room = self.requests.len() < MAX_REQUESTS;
        if !has_room {
            let oldest = self.requests.pop_front();
            self.evicted = oldest.map_or(self.evicted, |oldest| oldest.stream);
        }
        self.requests.push_back(request);
        has_room
    }

    /// True if the request on a stream may have been removed to make room. Even streams are those
    /// that a server pushes.
    pub(super) const fn may_be_evicted(&self, stream: u32) -> bool {
        stream % 2 == 1 && stream <= self.evicted
    }

    /// The request on a stream.
    pub(super) fn get_mut(&mut self, stream: u32) -> Option<&mut OpenRequest> {
        let at = self.position(stream)?;
        self.requests.get_mut(at)
    }

    /// Removes the request on a stream.
    pub(super) fn remove(&mut self, stream: u32) -> Option<OpenRequest> {
        let at = self.position(stream)?;
        self.requests.remove(at)
    }

    /// Removes all, and returns how many have no response.
    pub(super) fn clear(&mut self) -> usize {
        let requests = std::mem::take(&mut self.requests);
        requests.iter().filter(|r| !r.has_response).count()
    }

    fn position(&self, stream: u32) -> Option<usize> {
        let found = self.requests.binary_search_by_key(&stream, |r| r.stream);
        found.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(stream: u32) -> OpenRequest {
        OpenRequest {
            stream,
            method: HttpMethod::Get,
            started_ns: 0,
            is_grpc: false,
            has_response: false,
        }
    }

    #[test]
    fn the_oldest_request_makes_room() {
        let mut requests = OpenRequests::default();
        for number in 0..=u32::try_from(MAX_REQUESTS).unwrap() {
            let stream = 2 * number + 1;
            assert!(requests.is_new(stream));
            let has_room = requests.push(request(stream));
            assert_eq!(has_room, stream < 2048, "{stream}");
        }
        assert!(requests.may_be_evicted(1) && !requests.may_be_evicted(3));
        requests.evicted = 3;
        assert!(requests.may_be_evicted(3) && !requests.may_be_evicted(2));
        assert_eq!(requests.remove(1), None);
        assert_eq!(requests.remove(3), Some(request(3)));
        requests.get_mut(5).unwrap().has_response = true;
        assert!(!requests.is_new(2049) && !requests.is_new(2052));
        assert_eq!(requests.clear(), MAX_REQUESTS - 2);
        assert!(requests.is_new(2051));
    }
}
