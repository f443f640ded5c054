//! Generates the table of Information Elements from `registry/*.csv` (columns `pen,id,name,type,…`;
//! ntop's file has `pen,id,netflow9_id,name,length`).

#![allow(
    clippy::expect_used,
    reason = "a build without its registries must fail"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// ntop's registry has lengths instead of types. Addresses are recognised by their name.
fn ntop_type(name: &str, length: &str) -> &'static str {
    match (name, length) {
        (n, "4") if n.contains("IPV4") => "Ipv4Address",
        (n, "16") if n.contains("IPV6") => "Ipv6Address",
        (_, "1" | "2" | "4" | "8") => "Unsigned",
        _ => "String",
    }
}

fn data_type(text: &str) -> &'static str {
    match text {
        "unsigned8" | "unsigned16" | "unsigned32" | "unsigned64" => "Unsigned",
        "signed8" | "signed16" | "signed32" | "signed64" => "Signed",
        "float32" | "float64" => "Float",
        "boolean" => "Boolean",
        "macAddress" => "MacAddress",
        "string" => "String",
        "ipv4Address" | "ipv4address" => "Ipv4Address",
        "ipv6Address" | "ipv6address" => "Ipv6Address",
        "dateTimeSeconds" => "DateTimeSeconds",
        "dateTimeMilliseconds" => "DateTimeMilliseconds",
        "dateTimeMicroseconds" => "DateTimeMicroseconds",
        "dateTimeNanoseconds" => "DateTimeNanoseconds",
        "basicList" => "BasicList",
        "subTemplateList" => "SubTemplateList",
        "subTemplateMultiList" => "SubTemplateMultiList",
        _ => "OctetArray",
    }
}

/// Octets of a value that is not reduced in size, 0 for types of any length (RFC 7012 §3.1).
fn octets(text: &str) -> u8 {
    match text {
        "unsigned8" | "signed8" | "boolean" => 1,
        "unsigned16" | "signed16" => 2,
        "unsigned32" | "signed32" | "float32" | "dateTimeSeconds" | "ipv4Address"
        | "ipv4address" => 4,
        "macAddress" => 6,
        "unsigned64"
        | "signed64"
        | "float64"
        | "dateTimeMilliseconds"
        | "dateTimeMicroseconds"
        | "dateTimeNanoseconds" => 8,
        "ipv6Address" | "ipv6address" => 16,
        _ => 0,
    }
}

fn main() {
    println!("cargo::rerun-if-changed=registry");
    let mut table = BTreeMap::new();
    let mut files: Vec<_> = fs::read_dir("registry")
        .expect("folder registry next to build.rs")
        .map(|entry| entry.expect("readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "csv"))
        .collect();
    files.sort();
    for path in files {
        let text = fs::read_to_string(&path).expect("readable registry");
        let mut lines = text.lines();
        let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let column = |name: &str| head.iter().position(|h| *h == name);
        let (id, name) = (
            column("id").expect("column id"),
            column("name").expect("column name"),
        );
        let (kind, length, units) = (column("type"), column("length"), column("units"));
        for line in lines {
            let cells: Vec<&str> = line.split(',').collect();
            let cell = |i: usize| cells.get(i).copied().unwrap_or_default();
            let (Ok(pen), Ok(id)) = (cell(0).parse::<u32>(), cell(id).parse::<u16>()) else {
                continue;
            };
            let name = cell(name);
            if name.is_empty() {
                continue;
            }
            let octets = kind.map_or(0, |kind| octets(cell(kind)));
            let units = units.map_or("", cell).trim().trim_start_matches("none");
            let kind = match (kind, length) {
                (Some(kind), _) => data_type(cell(kind)),
                (None, Some(length)) => ntop_type(name, cell(length)),
                (None, None) => "OctetArray",
            };
            table
                .entry((pen, id))
                .or_insert_with(|| (name.to_owned(), kind, octets, units.to_owned()));
        }
    }
    let mut out = String::from("&[\n");
    for ((pen, id), (name, kind, octets, units)) in table {
        writeln!(
            out,
            "    Element {{ enterprise: {pen}, id: {id}, name: {name:?}, data_type: DataType::{kind}, \
             octets: {octets}, units: {units:?}, key: {:?} }},",
            format!("\"{name}\":")
        )
        .expect("writing to a String does not fail");
    }
    out.push(']');
    let target = Path::new(&env::var("OUT_DIR").expect("set by cargo")).join("elements.rs");
    fs::write(target, out).expect("writable OUT_DIR");
}
