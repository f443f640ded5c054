//! Initial packets of QUIC, made by rustls.

use std::sync::Arc;

use rustls::crypto::ring::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider};
use rustls::quic::{ClientConnection, Keys, Version};
use rustls::{ClientConfig, RootCertStore, Side};

/// Settings of a client. `protocol_octets` in its list of protocols make the hello long.
pub(crate) fn client_config(protocol_octets: usize) -> ClientConfig {
    let provider = Arc::new(default_provider());
    let versions = [&rustls::version::TLS13];
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&versions).unwrap();
    let roots = RootCertStore::empty();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h3".to_vec()];
    for _ in 0..protocol_octets / 100 {
        config.alpn_protocols.push(vec![b'x'; 100]);
    }
    config
}

/// The `ClientHello` of a client, as a message.
pub(crate) fn client_hello(name: &str, protocol_octets: usize) -> Vec<u8> {
    let config = Arc::new(client_config(protocol_octets));
    let name = name.to_owned().try_into().unwrap();
    let parameters = vec![1, 1, 0];
    let mut client = ClientConnection::new(config, Version::V1, name, parameters).unwrap();
    let mut hello = Vec::new();
    client.write_hs(&mut hello);
    hello
}

/// A `CRYPTO` frame with a part of a stream.
pub(crate) fn crypto(stream: &[u8], start: usize, end: usize) -> Vec<u8> {
    let number = |value: usize| (u16::try_from(value).unwrap() | 0x4000).to_be_bytes();
    let mut frame = vec![6];
    frame.extend(number(start));
    frame.extend(number(end - start));
    frame.extend(&stream[start..end]);
    frame
}

/// What an Initial packet has in its header.
#[derive(Clone, Copy)]
pub(crate) struct Initial<'a> {
    pub(crate) version: Version,
    pub(crate) is_from_server: bool,
    /// The connection ID that the keys follow from.
    pub(crate) original_id: &'a [u8],
    pub(crate) destination_id: &'a [u8],
    pub(crate) number: u8,
}

impl<'a> Initial<'a> {
    /// The first packet of a client.
    pub(crate) fn first(version: Version, destination_id: &'a [u8]) -> Self {
        Self {
            version,
            is_from_server: false,
            original_id: destination_id,
            destination_id,
            number: 0,
        }
    }

    /// A packet with these frames. They are filled up to a datagram of 1200 octets.
    pub(crate) fn packet(&self, frames: &[u8]) -> Vec<u8> {
        let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let side = if self.is_from_server {
            Side::Server
        } else {
            Side::Client
        };
        let quic = suite.quic_suite().unwrap().quic;
        let keys = Keys::initial(self.version, suite, quic, self.original_id, side);
        let (first, version) = match self.version {
            Version::V2 => (0xd1, 0x6b33_43cf_u32),
            _ => (0xc1, 1),
        };
        let mut header = vec![first];
        header.extend(version.to_be_bytes());
        header.push(u8::try_from(self.destination_id.len()).unwrap());
        header.extend(self.destination_id);
        // The source ID and the token are empty.
        header.extend([0, 0]);
        let number = [0, self.number];
        let mut payload = frames.to_vec();
        let others = header.len() + 2 + number.len() + 16;
        payload.resize(frames.len().max(1200_usize.saturating_sub(others)), 0);
        let length = u16::try_from(number.len() + payload.len() + 16).unwrap();
        header.extend((length | 0x4000).to_be_bytes());
        let number_at = header.len();
        header.extend(number);
        let packet_keys = &keys.local.packet;
        let tag = packet_keys.encrypt_in_place(self.number.into(), &header, &mut payload);
        payload.extend(tag.unwrap().as_ref());
        let mut packet = [header, payload].concat();
        let (head, rest) = packet.split_at_mut(number_at);
        let (number, rest) = rest.split_at_mut(2);
        let sample = &rest[2..18];
        let protection = &keys.local.header;
        protection
            .encrypt_in_place(sample, &mut head[0], number)
            .unwrap();
        packet
    }
}
