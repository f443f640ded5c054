//! A connection: the messages in both directions, and which response belongs to which request.

use enum_map::EnumMap;
use flowproto::FlowKey;
use flowproto::http::{HttpHealth, HttpMethod, HttpRequest};

use super::head::{self, Body};
use super::stream::{HeadPool, Role, Step, Stream, can_begin};
use super::targets::Targets;
use super::unread::UnreadHttp;
use crate::decode::NetworkId;

/// Requests of a connection that wait for their responses, at most.
const MAX_PENDING: usize = 16;
/// What a client of HTTP/2 sends first (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

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
}

/// What all connections share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) heads: HeadPool,
    pub(super) targets: Targets,
    pub(super) unread: EnumMap<UnreadHttp, u64>,
}

impl Shared {
    pub(super) fn count(&mut self, reason: UnreadHttp) {
        self.unread[reason] = self.unread[reason].saturating_add(1);
    }
}

/// A request without a response.
#[derive(Clone, Copy, Debug, Default)]
struct PendingRequest {
    started_ns: u64,
    method: HttpMethod,
}

/// The requests without a response, in their order.
#[derive(Clone, Copy, Debug, Default)]
struct PendingRequests {
    requests: [PendingRequest; MAX_PENDING],
    first: usize,
    count: usize,
}

impl PendingRequests {
    /// False if there is no place.
    fn push(&mut self, request: PendingRequest) -> bool {
        if self.count >= MAX_PENDING {
            return false;
        }
        let at = self.first.wrapping_add(self.count) % MAX_PENDING;
        if let Some(place) = self.requests.get_mut(at) {
            *place = request;
        }
        self.count = self.count.saturating_add(1);
        true
    }

    fn pop(&mut self) -> Option<PendingRequest> {
        self.count = self.count.checked_sub(1)?;
        let request = self.requests.get(self.first).copied();
        self.first = self.first.wrapping_add(1) % MAX_PENDING;
        request
    }

    /// Removes all, and returns how many there were.
    const fn clear(&mut self) -> usize {
        std::mem::replace(&mut self.count, 0)
    }
}

/// What becomes of a connection after a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Continues,
    /// It has another protocol than HTTP.
    NotHttp,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Key of the packets from the client.
    pub(super) key: FlowKey,
    pub(super) network: NetworkId,
    /// Time of the latest packet.
    pub(super) used_ns: u64,
    client: Stream,
    server: Stream,
    pending: PendingRequests,
    /// A request was read.
    is_http: bool,
    /// Its messages are not read any more, which was counted.
    is_closed: bool,
    has_finished: [bool; 2],
}

impl Connection {
    pub(super) fn new(key: FlowKey, network: NetworkId) -> Self {
        Self {
            key,
            network,
            used_ns: 0,
            client: Stream::default(),
            server: Stream::default(),
            pending: PendingRequests::default(),
            is_http: false,
            is_closed: false,
            has_finished: [false; 2],
        }
    }

    /// Messages of it are read, or can follow.
    pub(super) const fn is_read(&self) -> bool {
        self.is_http && !self.is_closed
    }

    /// True if the next segment of the client is its first one, and has this sequence number.
    pub(super) fn is_first(&self, number: u32) -> bool {
        !self.is_http && !self.is_closed && self.client.is_next(number)
    }

    /// Does not read messages, which was counted.
    pub(super) const fn ignore(&mut self) {
        self.is_closed = true;
    }

    /// Sets the sequence numbers that follow those of a SYN or of the answer to it.
    pub(super) const fn begin(&mut self, role: Role, number: u32) {
        match role {
            Role::Client => self.client.begin(number),
            Role::Server => self.server.begin(number),
        }
    }

    pub(super) const fn is_unknown(&self, role: Role) -> bool {
        match role {
            Role::Client => self.client.is_unknown(),
            Role::Server => self.server.is_unknown(),
        }
    }

    /// Notes that an end has sent its FIN. True if both have.
    pub(super) fn finish(&mut self, role: Role) -> bool {
        let [client, server] = &mut self.has_finished;
        match role {
            Role::Client => *client = true,
            Role::Server => *server = true,
        }
        *client && *server
    }

    /// Removes the requests whose response may have been lost, and returns their number.
    pub(super) const fn take_unknown(&mut self) -> usize {
        if self.server.is_lost() {
            self.pending.clear()
        } else {
            0
        }
    }

    /// Ends the reading of messages. Returns the number of requests that wait for a response.
    pub(super) fn close(&mut self, shared: &mut Shared) -> usize {
        self.is_closed = true;
        self.client.close(&mut shared.heads);
        self.server.close(&mut shared.heads);
        self.pending.clear()
    }

    /// Reads a segment of `octets`, as far as it was captured, that begins with sequence number
    /// `number`.
    pub(super) fn observe(
        &mut self,
        role: Role,
        (number, captured, octets): (u32, &[u8], u32),
        time_ns: u64,
        shared: &mut Shared,
        messages: &mut HttpMessages,
    ) -> Outcome {
        if self.is_closed {
            return Outcome::Continues;
        }
        if !self.is_http {
            if role == Role::Client && captured.starts_with(HTTP2_PREFACE) {
                shared.count(UnreadHttp::Http2);
                self.close(shared);
                return Outcome::Continues;
            }
            // Also the server of another protocol, which sends first.
            if !can_begin(role, captured) && !self.client.has_head() {
                return Outcome::NotHttp;
            }
        }
        let stream = self.stream(role);
        let Some((mut piece, unread)) = stream.piece(number, captured, octets, &mut shared.heads)
        else {
            return Outcome::Continues;
        };
        if let Some(reason) = unread
            && self.is_http
        {
            shared.count(reason);
        }
        loop {
            let stream = self.stream(role);
            match stream.step(&mut piece, role, time_ns, &mut shared.heads) {
                Step::Done => return Outcome::Continues,
                Step::Head(head) => self.message(role, head, shared, messages),
                Step::JoinedHead(head) => {
                    self.message(role, &head, shared, messages);
                    shared.heads.give_back(head);
                }
                Step::Unread(reason) if self.is_http => shared.count(reason),
                Step::Unread(_) => return Outcome::NotHttp,
            }
        }
    }

    /// Notes what the client has received before it sent a segment. A response that was not observed is
    /// known to be lost before the next request, so that its time is not taken for that of another.
    pub(super) fn acknowledge(&mut self, number: u32, shared: &mut Shared) {
        let lost = self.server.skip_to(number, &mut shared.heads);
        if let Some(reason) = lost
            && self.is_read()
        {
            shared.count(reason);
        }
    }

    const fn stream(&mut self, role: Role) -> &mut Stream {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    fn message(
        &mut self,
        role: Role,
        head: &[u8],
        shared: &mut Shared,
        messages: &mut HttpMessages,
    ) {
        let is_valid = match role {
            Role::Client => self.request(head, shared, messages),
            Role::Server => self.response(head, shared, messages),
        };
        if is_valid.is_none() {
            shared.count(UnreadHttp::Invalid);
            self.stream(role).lose();
        }
    }

    fn request(
        &mut self,
        head: &[u8],
        shared: &mut Shared,
        messages: &mut HttpMessages,
    ) -> Option<()> {
        let request = head::request(head)?;
        self.is_http = true;
        if self.server.is_lost() {
            // A client sends one request after the other, so the earlier ones have their responses.
            messages.abandon(self.pending.clear());
        }
        let method = request.method;
        let pending = PendingRequest {
            started_ns: self.client.started_ns(),
            method,
        };
        if !self.pending.push(pending) {
            shared.count(UnreadHttp::TooManyRequests);
            messages.abandon(self.close(shared));
            return Some(());
        }
        self.client.set_body(request.body);
        messages.counts.requests = messages.counts.requests.saturating_add(1);
        messages.request = Some(HttpRequest {
            method,
            target: Some(shared.targets.template(request.target)),
            minor_version: request.minor_version,
            status_code: 0,
        });
        Some(())
    }

    fn response(
        &mut self,
        head: &[u8],
        shared: &mut Shared,
        messages: &mut HttpMessages,
    ) -> Option<()> {
        const SWITCHING_PROTOCOLS: u16 = 101;
        const NO_CONTENT: u16 = 204;
        const NOT_MODIFIED: u16 = 304;
        let response = head::response(head)?;
        let code = response.status_code;
        if code < 200 && code != SWITCHING_PROTOCOLS {
            // The response follows.
            self.server.set_body(Body::Octets(0));
            return Some(());
        }
        messages.counts.count_response(code);
        messages.status_code = code;
        let request = self.pending.pop();
        if let Some(request) = request {
            let duration = self.server.started_ns().saturating_sub(request.started_ns);
            let microseconds = u32::try_from(duration / 1000).unwrap_or(u32::MAX);
            messages.counts.response_time.add(microseconds);
        }
        let method = request.map(|request| request.method);
        let is_tunnel = method == Some(HttpMethod::Connect) && code < 300;
        if code == SWITCHING_PROTOCOLS || is_tunnel {
            shared.count(UnreadHttp::Upgraded);
            messages.abandon(self.close(shared));
            return Some(());
        }
        let is_empty =
            method == Some(HttpMethod::Head) || matches!(code, NO_CONTENT | NOT_MODIFIED);
        self.server.set_body(if is_empty {
            Body::Octets(0)
        } else {
            response.body
        });
        if self.pending.count == 0 && self.client.is_body_pending() {
            // The client may leave the body out, as after `Expect: 100-continue` (RFC 9110 §10.1.1).
            self.client.lose();
        }
        Some(())
    }
}
