//! `proto/kipfix/v1/flow.proto`, and its compatibility with published versions.

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;

pub(crate) use kipfix_collector::emit::enriched::schema::proto;

/// Label, type and name of each field, by its number.
fn fields(proto: &str) -> BTreeMap<u32, String> {
    let field = Regex::new(r"(?m)^  ((?:optional )?\w+ \w+) = (\d+);$").unwrap();
    let fields = field.captures_iter(proto);
    fields
        .map(|found| (found[2].parse().unwrap(), found[1].to_owned()))
        .collect()
}

/// Compares the schema with the files of `proto/published/`. A new field is compatible.
pub(crate) fn check_published() {
    let current = fields(&proto());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/published");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let published = fields(&std::fs::read_to_string(&path).unwrap());
        assert!(published.len() > 50, "{}", path.display());
        for (number, field) in published {
            assert_eq!(
                current.get(&number),
                Some(&field),
                "field {number} of {}",
                path.display()
            );
        }
        files += 1;
    }
    assert!(files > 0);
}
