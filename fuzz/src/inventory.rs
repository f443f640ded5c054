//! The inventory file.

use flowproto::Address;
use kipfix_collector::inventory::{Bounds, TimeRange, file};

const BOUNDS: Bounds = Bounds {
    endpoints: 16,
    nodes: 4,
    kept_milliseconds: 1000,
    id_reuse_delay_milliseconds: 1000,
};

/// Text of an inventory file: an inventory within its limits, or an error of one sentence.
pub(crate) fn inventory(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match file::parse(text, BOUNDS) {
        Err(sentence) => {
            assert!(
                !sentence.is_empty() && !sentence.contains('\n'),
                "{sentence:?}"
            );
        }
        Ok(mut inventory) => {
            let index = inventory.writer.current();
            let sizes = index.sizes();
            assert!(sizes.nodes <= 4 && sizes.endpoints <= 16, "{sizes:?}");
            let span = TimeRange {
                start_milliseconds: 0,
                end_milliseconds: 1,
            };
            for bits in [0x0a01_010a, 0x0a01_0201, 0x0a09_0001] {
                let found = index.lookup(Address::from_v4_bits(bits), span);
                assert!(index.endpoint(found.endpoint).name.len() <= text.len());
            }
        }
    }
}
