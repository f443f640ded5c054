//! A connection: octets that are cut anywhere.

use std::ops::ControlFlow;

use flowproto::collector::{CollectingProcess, Counters, Limits, Unusable};
use kipfix_collector::receive::framing::{Framing, FramingError};

use crate::decoding::{self, NARROW, Taken, number};
use crate::input::BEGAN;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Behind a Message or in the middle of one.
    Closed {
        midway: bool,
    },
    NotIpfix(FramingError),
    Malformed(Unusable),
}

/// A connection's octets into Messages and on into a Collecting Process: however they are cut, the
/// same records, counts and end come of it; no more is waited for than one Message; and when it is
/// closed, nothing of it is left. The first octets say the bounds, in how many sizes it is cut, and
/// those.
pub(crate) fn stream(data: &[u8]) {
    let [bounds, sizes, data @ ..] = data else {
        return;
    };
    let is_roomy = bounds & 1 == 0;
    let limits = if is_roomy { Limits::default() } else { NARROW };
    let (sizes, octets) = data.split_at(usize::from(*sizes).min(data.len()));
    let whole = receive(&limits, is_roomy, octets, &[]);
    let pieces = receive(&limits, is_roomy, octets, sizes);
    assert_eq!(whole, pieces);
}

fn receive(
    limits: &Limits,
    is_roomy: bool,
    mut octets: &[u8],
    sizes: &[u8],
) -> (Counters, Taken, End) {
    let mut process = CollectingProcess::new(*limits);
    let mut taken = Taken::default();
    let mut framing = Framing::default();
    let mut sizes = sizes.iter().cycle();
    let (mut waiting, mut read) = (0, 0);
    let exporter = "192.0.2.1:4000".parse().unwrap();
    let end = loop {
        if octets.is_empty() {
            let midway = framing.is_incomplete();
            assert_eq!(midway, waiting > 0);
            break End::Closed { midway };
        }
        let size = sizes
            .next()
            .map_or(octets.len(), |size| usize::from(*size).max(1));
        let piece;
        (piece, octets) = octets.split_at(size.min(octets.len()));
        waiting += piece.len();
        let pushed = framing.push(piece, |message| {
            assert!(message.starts_with(&[0, 10]));
            assert!((16..=65_535).contains(&message.len()));
            waiting -= message.len();
            read += message.len();
            match process.receive_over(1, exporter, message, BEGAN, &mut taken) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        });
        decoding::check(&process, limits, is_roomy);
        assert_eq!(process.counters().octets, number(read));
        match pushed {
            Ok(ControlFlow::Continue(())) => assert!(waiting <= 65_535),
            Ok(ControlFlow::Break(reason)) => break End::Malformed(reason),
            Err(reason) => break End::NotIpfix(reason),
        }
    };
    process.close(1);
    decoding::check_empty(process.occupancy());
    decoding::check(&process, limits, is_roomy);
    (*process.counters(), taken, end)
}
