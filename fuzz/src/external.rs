//! Files with external addresses.

use std::path::PathBuf;
use std::sync::LazyLock;

use flowproto::Address;
use kipfix_collector::inventory::external::{self, ExternalSources};

const MOST_COMBINATIONS: usize = 16;

static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a folder for the file"));

/// A file of the kind in the first octet: a table within its limit, or an error of one sentence.
pub(crate) fn external(data: &[u8]) {
    let Some((kind, octets)) = data.split_first() else {
        return;
    };
    let thread = format!("{:?}", std::thread::current().id());
    let path: PathBuf = FOLDER.path().join(thread);
    std::fs::write(&path, octets).unwrap();
    let mut files = ExternalSources {
        max_combinations: MOST_COMBINATIONS,
        ..ExternalSources::default()
    };
    if kind & 1 == 0 {
        files.databases.push(path);
    } else {
        files.cloud_ranges.push(path);
    }
    match external::load(&files) {
        Err(error) => {
            let sentence = error.to_string();
            assert!(!sentence.contains('\n'), "{sentence:?}");
        }
        Ok(external) => {
            assert!(external.combinations() <= MOST_COMBINATIONS);
            for address in [
                Address::from_v4_bits(0),
                Address::from_v4_bits(0x0102_0304),
                Address::from_v4_bits(u32::MAX),
                Address::from_v6_bits(0x2001_0db8 << 96),
                Address::from_v6_bits(u128::MAX),
            ] {
                let attributes = external.attributes(external.lookup(address));
                assert!(attributes.country.len() <= 3 * octets.len());
            }
        }
    }
}
