//! A connection of HTTP/2: both directions, and the requests on its streams.

use flowproto::Address;
use flowproto::http::{HttpMethod, HttpRequest, HttpVersion};

use super::direction::{Arrival, Direction};
use super::fields::Fields;
use super::frame_reader::{BlockTarget, FrameReader, Step};
use super::hpack::BlockError;
use super::open_requests::{OpenRequest, OpenRequests};
use crate::inspect::http::messages::{HttpMessages, HttpShared, Scarce};
use crate::inspect::http::segment::{Piece, Role};
use crate::inspect::http::unread::UnreadHttp;

/// Why the reading of a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::inspect::http) enum End {
    /// The rest cannot be read.
    Unread(UnreadHttp),
    /// It has another protocol.
    NotHttp,
}

/// The request of HTTP/1 that has selected HTTP/2. Its response is on stream 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::inspect::http) struct UpgradeRequest {
    pub(in crate::inspect::http) method: HttpMethod,
    pub(in crate::inspect::http) started_ns: u64,
}

/// A connection of HTTP/2.
#[derive(Debug)]
pub(in crate::inspect::http) struct Http2Exchange {
    /// Address of the client.
    address: Address,
    client: Direction,
    server: Direction,
    requests: OpenRequests,
    has_request: bool,
    /// Octets of memory, as they were counted.
    octets: usize,
}

impl Http2Exchange {
    /// A connection of the client with this address, whose client and server continue with these
    /// sequence numbers. `preface`: octets of the preface of the client that were read.
    pub(in crate::inspect::http) fn new(
        address: Address,
        (client, server): (Option<u32>, Option<u32>),
        preface: usize,
        shared: &mut HttpShared,
    ) -> Self {
        shared.http2_connections = shared.http2_connections.saturating_add(1);
        Self {
            address,
            client: Direction::new(client, FrameReader::new(Some(preface))),
            server: Direction::new(server, FrameReader::new(None)),
            requests: OpenRequests::default(),
            has_request: false,
            octets: 0,
        }
    }

    /// Adds the request that has selected HTTP/2.
    pub(in crate::inspect::http) fn upgrade(&mut self, request: UpgradeRequest) {
        self.has_request = true;
        self.requests.push(OpenRequest {
            stream: 1,
            method: request.method,
            started_ns: request.started_ns,
            is_grpc: false,
            has_response: false,
        });
    }

    /// Reads a segment of `octets`, as far as it was captured, that begins with sequence number
    /// `number`, and the kept ones that follow it.
    pub(in crate::inspect::http) fn observe(
        &mut self,
        role: Role,
        (number, captured, octets): (u32, &[u8], u32),
        time_ns: u64,
        shared: &mut HttpShared,
        messages: &mut HttpMessages,
    ) -> Result<(), End> {
        let direction = self.direction(role);
        match direction.receive(number, captured, octets, time_ns) {
            Arrival::Piece(mut piece) => {
                self.read(role, &mut piece, time_ns, shared, messages)?;
            }
            Arrival::Nothing => {}
            Arrival::Lost => return Err(End::Unread(UnreadHttp::SegmentLost)),
        }
        while let Some(held) = self.direction(role).take_held() {
            let (captured, time_ns) = (&held.captured, held.time_ns);
            let direction = self.direction(role);
            let arrival = direction.receive(held.number, captured, held.octets, time_ns);
            if let Arrival::Piece(mut piece) = arrival {
                self.read(role, &mut piece, time_ns, shared, messages)?;
            }
        }
        self.count_octets(shared)
    }

    /// Reads what is new of a segment.
    pub(in crate::inspect::http) fn read(
        &mut self,
        role: Role,
        piece: &mut Piece<'_>,
        time_ns: u64,
        shared: &mut HttpShared,
        messages: &mut HttpMessages,
    ) -> Result<(), End> {
        loop {
            let frames = &mut self.direction(role).frames;
            match frames.step(piece, time_ns, &mut shared.heads) {
                Step::Done => return Ok(()),
                Step::Block(target, block) => {
                    self.block(role, target, block, shared, messages)?;
                }
                Step::JoinedBlock(target, block) => {
                    let result = self.block(role, target, &block, shared, messages);
                    shared.heads.give_back(block);
                    result?;
                }
                Step::EndStream(stream) if role == Role::Server => self.end(stream, messages),
                Step::EndStream(_) => {}
                Step::Reset(stream) => self.end(stream, messages),
                Step::Unread(reason) => return Err(End::Unread(reason)),
                Step::NotHttp2 => return Err(End::NotHttp),
            }
        }
    }

    /// Notes what the sender of a segment has received of the other end.
    pub(in crate::inspect::http) fn acknowledge(
        &mut self,
        role: Role,
        number: u32,
    ) -> Result<(), End> {
        if self.direction(role.other()).acknowledge(number) {
            Ok(())
        } else {
            Err(End::Unread(UnreadHttp::SegmentLost))
        }
    }

    /// Removes the requests whose response may be behind a gap that stays, and returns their
    /// number.
    pub(in crate::inspect::http) fn take_unknown(&mut self, shared: &mut HttpShared) -> usize {
        if !self.client.has_held() && !self.server.has_held() {
            return 0;
        }
        shared.count(UnreadHttp::SegmentLost);
        self.requests.clear()
    }

    /// Why the reading ends, if it has waited for segments since before `time_ns`, and what it
    /// keeps meanwhile is `scarce`.
    pub(in crate::inspect::http) fn expired(
        &self,
        time_ns: u64,
        scarce: Scarce,
    ) -> Option<UnreadHttp> {
        let directions = [&self.client, &self.server];
        if scarce.http2_memory && directions.iter().any(|one| one.has_held_before(time_ns)) {
            return Some(UnreadHttp::SegmentLost);
        }
        let has_block = directions
            .iter()
            .any(|one| one.frames.has_block_before(time_ns));
        (scarce.heads && has_block).then_some(UnreadHttp::NoRoom)
    }

    /// Ends the reading, and frees the memory. Returns the number of requests without a response.
    pub(in crate::inspect::http) fn close(mut self, shared: &mut HttpShared) -> usize {
        shared.http2_connections = shared.http2_connections.saturating_sub(1);
        // Less memory is never refused.
        let memory = &mut shared.http2_memory;
        memory.resize(self.address, self.octets, 0).ok();
        self.client.close(&mut shared.heads);
        self.server.close(&mut shared.heads);
        self.requests.clear()
    }

    const fn direction(&mut self, role: Role) -> &mut Direction {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    fn count_octets(&mut self, shared: &mut HttpShared) -> Result<(), End> {
        let octets = self.client.memory().saturating_add(self.server.memory());
        let octets = octets.saturating_add(self.requests.memory());
        let before = std::mem::replace(&mut self.octets, octets);
        let memory = &mut shared.http2_memory;
        let resized = memory.resize(self.address, before, octets);
        resized.map_err(End::Unread)
    }

    fn block(
        &mut self,
        role: Role,
        target: BlockTarget,
        block: &[u8],
        shared: &mut HttpShared,
        messages: &mut HttpMessages,
    ) -> Result<(), End> {
        let mut fields = Fields::default();
        let decoder = &mut self.direction(role).decoder;
        let decoded = decoder.decode(block, |name, value| fields.set(name, value));
        decoded.map_err(|error| {
            End::Unread(match error {
                BlockError::Invalid => UnreadHttp::Invalid,
                BlockError::TooLong => UnreadHttp::HeadTooLong,
                BlockError::TableTooLarge => UnreadHttp::TableTooLarge,
            })
        })?;
        match role {
            // What a server pushes was not requested.
            Role::Server if target.is_promise => Ok(()),
            Role::Client if target.is_promise => Err(End::Unread(UnreadHttp::Invalid)),
            Role::Client => self.request(target, &fields, shared, messages),
            Role::Server => {
                self.response(target, &fields, messages);
                Ok(())
            }
        }
    }

    fn request(
        &mut self,
        target: BlockTarget,
        fields: &Fields,
        shared: &mut HttpShared,
        messages: &mut HttpMessages,
    ) -> Result<(), End> {
        // A trailer has no method.
        let Some(method) = fields.method else {
            return Ok(());
        };
        if !self.requests.is_new(target.stream) {
            return Err(End::Unread(UnreadHttp::Invalid));
        }
        let has_room = self.requests.push(OpenRequest {
            stream: target.stream,
            method,
            started_ns: target.started_ns,
            is_grpc: fields.is_grpc,
            has_response: false,
        });
        if !has_room {
            shared.count(UnreadHttp::TooManyRequests);
        }
        if !self.has_request && method != HttpMethod::Connect {
            shared.set_authority(fields.authority());
        }
        self.has_request = true;
        messages.counts.requests = messages.counts.requests.saturating_add(1);
        messages.request = Some(HttpRequest {
            method,
            target: Some(shared.targets.template(fields.path())),
            version: HttpVersion::Http2,
            status_code: 0,
        });
        Ok(())
    }

    fn response(&mut self, target: BlockTarget, fields: &Fields, messages: &mut HttpMessages) {
        let stream = target.stream;
        let is_evicted = self.requests.may_be_evicted(stream);
        let request = self.requests.get_mut(stream);
        let is_grpc = request.as_ref().is_some_and(|request| request.is_grpc);
        // A trailer has no status, and the response follows one of the first class.
        let code = fields.status_code.filter(|code| *code >= 200);
        match (code, request) {
            (Some(code), Some(request)) if !request.has_response => {
                request.has_response = true;
                let duration = target.started_ns.saturating_sub(request.started_ns);
                let microseconds = u32::try_from(duration / 1000).unwrap_or(u32::MAX);
                messages.counts.response_time.add(microseconds);
                messages.counts.count_response(code);
                messages.status_code = code;
            }
            (Some(code), None) if is_evicted => {
                messages.counts.count_response(code);
                messages.status_code = code;
            }
            // Pushed, or after the client has cancelled the request.
            _ => {}
        }
        if let Some(status) = fields.grpc_status
            && is_grpc
            && target.ends_stream
        {
            messages.counts.grpc.count(status);
        }
        if target.ends_stream || (code.is_some() && !is_grpc) {
            self.end(stream, messages);
        }
    }

    /// Ends a stream. A request without a response will have none.
    fn end(&mut self, stream: u32, messages: &mut HttpMessages) {
        if self
            .requests
            .remove(stream)
            .is_some_and(|request| !request.has_response)
        {
            let unanswered = &mut messages.counts.unanswered_requests;
            *unanswered = unanswered.saturating_add(1);
        }
    }
}
