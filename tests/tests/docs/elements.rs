//! `docs/elements.md`: the Information Elements that the probe exports and the collector reads.

use std::path::Path;

use flowproto::element::{ELEMENTS, Element, REVERSE_ENTERPRISE};
use flowproto::field::VARIABLE_LENGTH;
use flowproto::{exporter, template};

use crate::generated::table;

const HEAD: &str = "\
# Information Elements

Generated from the code by `make docs`, from the IANA registry and the public enterprise registries in `flowproto/registry/`.

## Export of the probe

IPFIX (RFC 7011). The template of a record has exactly the fields of the record: the addresses of its family, interfaces if they are known,
and the elements of a tunnel if there is one. Template ids of flow records start at 1024. Template 256 is an options template that identifies the exporter:
`observationDomainId` (149) as its scope, `observationDomainName` (300, the name of the node) and `exporterIPv4Address` or
`exporterIPv6Address` (130, 131).
";

const READ: &str = "
## Elements that the collector reads

IPFIX, and NetFlow v9 with the same numbers. v1, v5 and v7 have a fixed layout. These elements become part of a flow record and affect counting or
attribution. If an exporter reports a quantity twice (deltas and totals, before and after a middlebox), one of them is
counted, not the sum. Reverse elements of biflows (RFC 5103) have the numbers of the forward elements under PEN 29305.
From options data, the collector reads sampling (34, 50, 305, 306, with 48 or 302), the name and address of the exporter (300, 130, 131) and
its start time (160).
";

const NAMED: &str = "
## Elements in the flow log

The flow log contains every element of every record. Elements of these registries have their name and type. Others are `PEN:ID` with the
value in hexadecimal digits.
";

pub(crate) fn page() -> String {
    let mut text = HEAD.to_owned() + "\n";
    // Translated addresses are sent by --forward of the collector only.
    let is_translation = |id: u16| matches!(id, 225..=228 | 281 | 282);
    let rows: Vec<Vec<String>> = exporter::fields()
        .into_iter()
        .filter(|field| field.enterprise != 0 || !is_translation(field.id))
        .map(|field| {
            let element = flowproto::element::find(field.enterprise, field.id);
            let name = element.map_or("", |element| element.name);
            let mut row = names(field.enterprise, field.id, name);
            row.push(match field.length {
                VARIABLE_LENGTH => "variable".to_owned(),
                length => length.to_string(),
            });
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

/// Enterprise number and name from the file names of the registries: `cert_6871.csv`.
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
