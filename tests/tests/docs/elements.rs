//! `docs/elements.md`: Information Elements that the probe sends and that the collector understands.

use std::path::Path;

use flowproto::element::{ELEMENTS, Element, REVERSE_ENTERPRISE};
use flowproto::{exporter, template};

use crate::table;

const HEAD: &str = "\
# Information Elements

Generated from the code by `make docs`, from the IANA registry and the public enterprise registries in `flowproto/registry/`.

## What the probe sends

IPFIX (RFC 7011). A record goes out under the template that has just the fields it needs: addresses of its family, interfaces where they are
known, a tunnel's elements where there is one, translated addresses where there are some. Templates have the numbers from 257 on. Template 256 is an options
template that says who exports: `observationDomainId` (149) as its scope, `observationDomainName` (300, the node's name) and
`exporterIPv4Address` or `exporterIPv6Address` (130, 131).
";

const READ: &str = "
## What the collector understands

IPFIX, and NetFlow v9 by the same numbers; v5 and v7 have a fixed layout. These elements become part of a flow record, so they count, or
decide who it was. Where an exporter sends a quantity twice (deltas and totals, before and after a middlebox) one of them
counts, never the sum. Reverse elements of biflows (RFC 5103) have the numbers of their forward ones under PEN 29305.
Options data are read for sampling (34, 50, 305, 306, with 48 or 302), for the exporter's name and address (300, 130, 131) and its start (160).
";

const NAMED: &str = "
## What the flow log names

Every element of every record is in the flow log, read or not. Those of these registries have their name and type there; any other
is `PEN:ID` with its value in hexadecimal digits.
";

pub(crate) fn page() -> String {
    let mut text = HEAD.to_owned() + "\n";
    let rows: Vec<Vec<String>> = exporter::fields()
        .into_iter()
        .map(|field| {
            let element = flowproto::element::find(field.enterprise, field.id);
            let name = element.map_or("", |element| element.name);
            let mut row = names(field.enterprise, field.id, name);
            row.push(field.length.to_string());
            row
        })
        .collect();
    text += &table(&["element", "number", "registry", "octets"], &rows);

    text += READ;
    text += "\n";
    let forward = ELEMENTS.iter().map(|element| (element.enterprise, element));
    let reverse = ELEMENTS
        .iter()
        .filter(|element| element.enterprise == 0)
        .map(|element| (REVERSE_ENTERPRISE, element));
    let rows: Vec<Vec<String>> = forward
        .chain(reverse)
        .filter(|(enterprise, element)| template::is_read(*enterprise, element.id))
        .map(|(enterprise, element)| {
            let name = if enterprise == REVERSE_ENTERPRISE {
                format!("{}, reverse", element.name)
            } else {
                element.name.to_owned()
            };
            names(enterprise, element.id, &name)
        })
        .collect();
    text += &table(&["element", "number", "registry"], &rows);

    text += NAMED;
    text += "\n";
    let mut rows: Vec<(u32, Vec<String>)> = registries()
        .into_iter()
        .map(|(enterprise, name)| {
            let of_it = |element: &&Element| element.enterprise == enterprise;
            let count = ELEMENTS.iter().filter(of_it).count();
            let row = vec![name, enterprise.to_string(), count.to_string()];
            (enterprise, row)
        })
        .collect();
    rows.sort();
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
    text += &table(&["registry", "PEN", "elements"], &rows);
    text
}

fn names(enterprise: u32, id: u16, name: &str) -> Vec<String> {
    let registry = match enterprise {
        REVERSE_ENTERPRISE => "RFC 5103".to_owned(),
        _ => registries()
            .into_iter()
            .find(|(pen, _)| *pen == enterprise)
            .map_or_else(|| enterprise.to_string(), |(_, name)| name),
    };
    let number = match enterprise {
        0 => id.to_string(),
        enterprise => format!("{enterprise}:{id}"),
    };
    vec![format!("`{name}`"), number, registry]
}

/// Enterprise number and name, from the names of the registries' files: `cert_6871.csv`.
fn registries() -> Vec<(u32, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flowproto/registry");
    let files = std::fs::read_dir(folder).unwrap();
    files
        .filter_map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            let (name, enterprise) = name.strip_suffix(".csv")?.rsplit_once('_')?;
            Some((enterprise.parse().ok()?, name.to_owned()))
        })
        .collect()
}
