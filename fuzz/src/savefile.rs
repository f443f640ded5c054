//! Captures and IPFIX files.

use std::io::Cursor;
use std::net::SocketAddr;

use kipfix_collector::receive::savefile::{Savefile, SavefileCounts};

use crate::decoding::number;
use crate::input::Dribble;

/// No more than this is in a datagram, and in a Message.
const MOST_PAYLOAD: usize = 65_535;

/// A file into datagrams: frames = datagrams + those skipped, each datagram begins as flow export
/// does, the reading ends, and whether the octets come at once or a few at a time the same is read.
/// The first octet is the chunk size.
pub(crate) fn savefile(data: &[u8]) {
    let Some((at_once, file)) = data.split_first() else {
        return;
    };
    let whole = read(file, usize::MAX);
    assert_eq!(whole, read(file, usize::from(*at_once).max(1)));
}

/// Datagrams, counts, and why the reading ended early.
type Outcome = (
    Vec<(SocketAddr, Vec<u8>, u64)>,
    SavefileCounts,
    Option<String>,
);

fn read(file: &[u8], at_once: usize) -> Outcome {
    let mut counts = SavefileCounts::default();
    let mut datagrams = Vec::new();
    let input = Dribble {
        input: Cursor::new(file.to_vec()),
        at_once,
    };
    let mut savefile = match Savefile::from_reader(Box::new(input)) {
        Ok(savefile) => savefile,
        Err(error) => return (datagrams, counts, Some(error.to_string())),
    };
    let error = loop {
        let next = savefile.next(&mut counts);
        match next {
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
            Ok(Some(datagram)) => {
                let payload = datagram.payload;
                assert!(flowproto::is_flow_export(payload));
                assert!(payload.len() <= MOST_PAYLOAD || datagram.is_captured);
                assert_eq!(
                    datagram.exporter.ip(),
                    datagram.exporter.ip().to_canonical()
                );
                let time = datagram.time_milliseconds;
                datagrams.push((datagram.exporter, payload.to_vec(), time));
            }
        }
        // Every frame and every Message takes octets of the file.
        assert!(counts.frames + counts.datagrams <= 2 * number(file.len()));
    };
    assert_eq!(counts.datagrams, number(datagrams.len()));
    let is_ipfix = file.starts_with(&[0, 10]);
    if is_ipfix {
        assert_eq!(
            (counts.frames, counts.joined, counts.skipped),
            (0, 0, SavefileCounts::default().skipped)
        );
        let octets: usize = datagrams.iter().map(|(_, payload, _)| payload.len()).sum();
        assert!(octets <= file.len());
        assert!(error.is_some() || octets == file.len());
    } else {
        let skipped: u64 = counts.skipped.values().sum();
        assert_eq!(counts.frames, counts.datagrams + counts.joined + skipped);
    }
    (datagrams, counts, error)
}
