//! Datagrams in one buffer, one after the other.

use std::net::SocketAddr;

use crate::emit::double_buffer::Batch;

/// What a datagram needs besides its octets, so that empty ones are bounded, too.
const HEAD_OCTETS: usize = 64;

/// Datagrams, one after the other.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    octets: Vec<u8>,
    heads: Vec<Head>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    exporter: SocketAddr,
    length: usize,
}

impl Datagrams {
    pub(super) fn push(&mut self, exporter: SocketAddr, datagram: &[u8]) {
        self.octets.extend_from_slice(datagram);
        self.heads.push(Head {
            exporter,
            length: datagram.len(),
        });
    }

    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.heads.clear();
    }

    /// Octets of the first `count` of them.
    pub(super) fn octets_of(&self, count: usize) -> usize {
        self.heads.iter().take(count).map(|head| head.length).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let mut rest = self.octets.as_slice();
        self.heads.iter().map(move |head| {
            let (datagram, after) = rest.split_at_checked(head.length).unwrap_or_default();
            rest = after;
            (head.exporter, datagram)
        })
    }
}

impl Batch for Datagrams {
    fn len(&self) -> usize {
        self.heads.len()
    }

    /// Octets.
    fn size(&self) -> usize {
        self.octets
            .len()
            .saturating_add(self.heads.len().saturating_mul(HEAD_OCTETS))
    }

    fn append(&mut self, more: &Self, bound: usize) -> usize {
        if self.size().saturating_add(more.size()) <= bound {
            self.octets.extend_from_slice(&more.octets);
            self.heads.extend_from_slice(&more.heads);
            return more.len();
        }
        let mut count = 0_usize;
        for (exporter, datagram) in more.iter() {
            let size = datagram.len().saturating_add(HEAD_OCTETS);
            if self.size().saturating_add(size) > bound {
                break;
            }
            self.push(exporter, datagram);
            count = count.saturating_add(1);
        }
        count
    }
}
