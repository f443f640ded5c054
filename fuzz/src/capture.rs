//! Savefiles of the probe.

use std::io::Cursor;

use kipfix_probe::capture::savefile::Savefile;

use crate::decoding::number;
use crate::input::Dribble;

/// The filter of every second input.
const FILTER: &str = "ip or (vlan and ip6) or greater 500";

/// Reads a savefile: all captured octets are in the file, a frame has at least as many on the wire,
/// the reading ends, and the same frames are read whether the octets are available at once or a few
/// at a time. The first octet is the number of octets at a time.
pub(crate) fn capture(data: &[u8]) {
    let Some((at_once, file)) = data.split_first() else {
        return;
    };
    let filter = (at_once % 2 == 1).then_some(FILTER);
    let whole = read(file, usize::MAX, filter);
    assert_eq!(whole, read(file, usize::from(*at_once).max(1), filter));
}

/// Length, length on the wire, and time of every frame, and the error that ended the reading.
type Outcome = (Vec<(usize, u32, u64)>, Option<String>);

fn read(file: &[u8], at_once: usize, filter: Option<&str>) -> Outcome {
    let mut frames = Vec::new();
    let input = Dribble {
        input: Cursor::new(file.to_vec()),
        at_once,
    };
    let mut savefile = match Savefile::from_reader(input, filter) {
        Ok(savefile) => savefile,
        Err(error) => return (frames, Some(error.to_string())),
    };
    let mut octets = 0;
    let error = loop {
        let outcome = savefile.dispatch(|frame, _| {
            octets += frame.captured.len();
            assert!(number(frame.captured.len()) <= u64::from(frame.wire_octets));
            frames.push((frame.captured.len(), frame.wire_octets, frame.time_ns));
        });
        match outcome {
            Ok(true) => {}
            Ok(false) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    assert!(octets <= file.len());
    (frames, error)
}
