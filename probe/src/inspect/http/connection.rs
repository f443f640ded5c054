//! A connection: the messages in both directions, and which response belongs to which request.

use flowproto::FlowKey;
use flowproto::http::{HttpMethod, HttpRequest};

use super::http1::head::{self, Body};
use super::http1::stream::{Step, Stream, can_begin};
use super::http2::{self, End, Http2Exchange, PREFACE, UpgradeRequest};
use super::messages::{HttpMessages, HttpShared, Scarce};
use super::segment::Role;
use super::unread::UnreadHttp;
use crate::decode::NetworkId;
use crate::inspect::proxy_header;

/// Requests of a connection that wait for their responses, at most.
const MAX_PENDING: usize = 16;
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
    /// Reads the messages, if the connection has HTTP/2.
    http2: Option<Box<Http2Exchange>>,
    /// A request was read.
    is_http: bool,
    /// Its messages are not read any more, which was counted.
    is_closed: bool,
    /// Requests that had no response when its memory was freed, until the next packet.
    expired: usize,
    /// Sequence numbers of the FIN of the client and of the server.
    ends: [Option<u32>; 2],
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
            http2: None,
            is_http: false,
            is_closed: false,
            expired: 0,
            ends: [None; 2],
        }
    }

    /// Messages of it are read, or can follow.
    pub(super) const fn is_read(&self) -> bool {
        self.is_http && !self.is_closed
    }

    /// True if the next segment of the client is its first one, and has this sequence number.
    pub(super) fn is_first(&self, number: u32) -> bool {
        !self.is_http && !self.is_closed && self.http2.is_none() && self.client.is_next(number)
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

    /// Notes the FIN of an end, with its sequence number. True if both have sent one.
    pub(super) fn finish(&mut self, role: Role, number: u32) -> bool {
        let [client, server] = &mut self.ends;
        match role {
            Role::Client => *client = Some(number),
            Role::Server => *server = Some(number),
        }
        client.is_some() && server.is_some()
    }

    /// Sequence number of the FIN of an end, if it has sent one.
    const fn end(&self, role: Role) -> Option<u32> {
        let [client, server] = self.ends;
        match role {
            Role::Client => client,
            Role::Server => server,
        }
    }

    /// Abandons the requests whose response may have been lost, when the connection is over.
    pub(super) fn abandon_unknown(&mut self, shared: &mut HttpShared, messages: &mut HttpMessages) {
        for role in [Role::Client, Role::Server] {
            if let Some(end) = self.end(role) {
                self.acknowledge(role.other(), end, shared, messages);
            }
        }
        if let Some(http2) = &mut self.http2 {
            messages.abandon(http2.take_unknown(shared));
        }
        if self.server.is_lost() {
            messages.abandon(self.pending.clear());
        }
        messages.abandon(std::mem::take(&mut self.expired));
    }

    /// Frees what is `scarce` and was kept since before `time_ns` to wait for further segments.
    pub(super) fn expire(&mut self, time_ns: u64, scarce: Scarce, shared: &mut HttpShared) {
        if let Some(http2) = &self.http2 {
            if let Some(reason) = http2.expired(time_ns, scarce) {
                shared.count(reason);
                self.expired = self.close(shared);
            }
            return;
        }
        if !scarce.heads {
            return;
        }
        for stream in [&mut self.client, &mut self.server] {
            if stream.expire(time_ns, &mut shared.heads) {
                shared.count(UnreadHttp::NoRoom);
            }
        }
    }

    /// Ends the reading of messages. Returns the number of requests that wait for a response.
    pub(super) fn close(&mut self, shared: &mut HttpShared) -> usize {
        self.is_closed = true;
        self.client.close(&mut shared.heads);
        self.server.close(&mut shared.heads);
        let http2 = self.http2.take().map_or(0, |http2| http2.close(shared));
        self.pending.clear().saturating_add(http2)
    }

    /// Reads a segment of `octets`, as far as it was captured, that begins with sequence number
    /// `number`.
    pub(super) fn observe(
        &mut self,
        role: Role,
        segment: (u32, &[u8], u32),
        time_ns: u64,
        shared: &mut HttpShared,
        messages: &mut HttpMessages,
    ) -> Outcome {
        messages.abandon(std::mem::take(&mut self.expired));
        if self.is_closed {
            return Outcome::Continues;
        }
        let Some((number, captured, octets)) = self.without_proxy_header(role, segment) else {
            return Outcome::Continues;
        };
        if !self.is_http && self.http2.is_none() {
            if role == Role::Server && http2::begins_with_settings(captured) {
                self.begin_http2(0, shared);
            } else if !can_begin(role, captured) && !self.client.has_head() {
                // Also the server of another protocol, which sends first.
                return Outcome::NotHttp;
            }
        }
        if let Some(http2) = &mut self.http2 {
            let segment = (number, captured, octets);
            let result = http2.observe(role, segment, time_ns, shared, messages);
            return self.after_http2(result, shared, messages);
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
            if let Some(http2) = &mut self.http2 {
                let result = http2.read(role, &mut piece, time_ns, shared, messages);
                return self.after_http2(result, shared, messages);
            }
        }
    }

    /// The segment behind a header of the PROXY protocol, which the client may send before its
    /// first message. `None` if nothing follows.
    fn without_proxy_header<'a>(
        &mut self,
        role: Role,
        segment: (u32, &'a [u8], u32),
    ) -> Option<(u32, &'a [u8], u32)> {
        let (number, captured, octets) = segment;
        if role == Role::Server || self.is_http || self.http2.is_some() {
            return Some(segment);
        }
        let Some(rest) = proxy_header::after(captured) else {
            return Some(segment);
        };
        let header = captured.len().saturating_sub(rest.len());
        let header = u32::try_from(header).unwrap_or(u32::MAX);
        let next = number.wrapping_add(header);
        if self.client.is_next(number) {
            self.client.begin(next);
        }
        let octets = octets.checked_sub(header).filter(|octets| *octets > 0)?;
        Some((next, rest, octets))
    }

    /// Continues with HTTP/2 at the next octets. `preface`: octets of the preface that were read.
    fn begin_http2(&mut self, preface: usize, shared: &mut HttpShared) {
        let client = self.key.source_address;
        let numbers = (self.client.next(), self.server.next());
        self.http2 = Some(Box::new(Http2Exchange::new(
            client, numbers, preface, shared,
        )));
        self.client.close(&mut shared.heads);
        self.server.close(&mut shared.heads);
    }

    fn after_http2(
        &mut self,
        result: Result<(), End>,
        shared: &mut HttpShared,
        messages: &mut HttpMessages,
    ) -> Outcome {
        self.is_http |= messages.counts.requests > 0;
        let reason = match result {
            Ok(()) => return Outcome::Continues,
            Err(End::NotHttp) if !self.is_http => return Outcome::NotHttp,
            Err(End::NotHttp) => UnreadHttp::Invalid,
            Err(End::Unread(reason)) => reason,
        };
        shared.count(reason);
        messages.abandon(self.close(shared));
        Outcome::Continues
    }

    /// Notes what the sender of a segment has received before. A response that was not observed is
    /// known to be lost before the next request, so that its time is not taken for that of another.
    pub(super) fn acknowledge(
        &mut self,
        role: Role,
        number: u32,
        shared: &mut HttpShared,
        messages: &mut HttpMessages,
    ) {
        // A FIN counts as an octet.
        let end = self.end(role.other());
        let number = end
            .filter(|end| number == end.wrapping_add(1))
            .unwrap_or(number);
        if let Some(http2) = &mut self.http2 {
            let result = http2.acknowledge(role, number);
            self.after_http2(result, shared, messages);
            return;
        }
        if role == Role::Server {
            return;
        }
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
        shared: &mut HttpShared,
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
        shared: &mut HttpShared,
        messages: &mut HttpMessages,
    ) -> Option<()> {
        // The preface of HTTP/2 has the form of a request, up to here (RFC 9113 §3.4).
        if !self.is_http && PREFACE.starts_with(head) {
            self.begin_http2(head.len(), shared);
            return Some(());
        }
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
            version: request.version,
            status_code: 0,
        });
        Some(())
    }

    fn response(
        &mut self,
        head: &[u8],
        shared: &mut HttpShared,
        messages: &mut HttpMessages,
    ) -> Option<()> {
        const SWITCHING_PROTOCOLS: u16 = 101;
        const NO_CONTENT: u16 = 204;
        const NOT_MODIFIED: u16 = 304;
        let response = head::response(head)?;
        let code = response.status_code;
        if response.is_h2c && self.client.is_between() {
            self.upgrade(shared);
            return Some(());
        }
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
            // The client may leave the body out, as after `Expect: 100-continue` (RFC 9110
            // §10.1.1).
            self.client.lose();
        }
        Some(())
    }

    /// Changes to HTTP/2. The response to the request that has asked for it is on the first stream.
    fn upgrade(&mut self, shared: &mut HttpShared) {
        let request = self.pending.pop();
        self.pending.clear();
        self.begin_http2(0, shared);
        if let (Some(request), Some(http2)) = (request, &mut self.http2) {
            http2.upgrade(UpgradeRequest {
                method: request.method,
                started_ns: request.started_ns,
            });
        }
    }
}
