//! Syntax, types, limits and evaluation of expressions.

mod labels;
mod properties;

use std::collections::HashMap;

use flowproto::Address;

use super::*;
use crate::aggregate::field::{EndpointField, FieldType, Quoted, RecordField, Side, Value};

/// The values of an edge, as texts.
#[derive(Debug, Default)]
struct Edge(HashMap<Field, String>);

impl Edge {
    fn new(values: &[(&str, &str)]) -> Self {
        let value = |(field, text): &(&str, &str)| (field.parse().unwrap(), (*text).to_owned());
        Self(values.iter().map(value).collect())
    }
}

impl FieldSource for Edge {
    fn value(&self, field: &Field) -> Value<'_> {
        let Some(text) = self.0.get(field).filter(|text| !text.is_empty()) else {
            return Value::Absent;
        };
        match field.value_type() {
            FieldType::Text => Value::Text(text),
            FieldType::Number => Value::Number(text.parse().unwrap()),
            FieldType::Protocol => Value::Protocol(text.parse().unwrap()),
            FieldType::Address => {
                Value::Address(Address::from(text.parse::<std::net::IpAddr>().unwrap()))
            }
        }
    }
}

fn edge() -> Edge {
    Edge::new(&[
        ("src.namespace", "shop"),
        ("src.kind", "Deployment"),
        ("src.workload", "web"),
        ("src.zone", "z1"),
        ("src.address", "10.1.1.10"),
        (r#"src.label["app.kubernetes.io/name"]"#, "web \"1\""),
        ("dst.class", "external"),
        ("dst.zone", "z2"),
        ("dst.address", "2001:db8::7"),
        ("dst.as_number", "64500"),
        ("port", "443"),
        ("protocol", "6"),
        ("class", "pod_to_external"),
    ])
}

fn matches(text: &str) -> bool {
    text.parse::<Expression>()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .matches(&edge())
}

fn error(text: &str) -> (usize, String) {
    let error = text.parse::<Expression>().unwrap_err();
    (error.column, error.reason)
}

#[test]
fn an_expression_selects_by_text_number_set_and_regex() {
    for text in [
        r#"src.namespace == "shop" && dst.class =~ "external.*" && port in [53, 443]"#,
        r#"src.namespace != "shop" || port == 443"#,
        r#"!(src.namespace == "a") && !!(port > 442)"#,
        r#"src.workload in ["api", "web"]"#,
        "port >= 443 && port <= 443 && port < 444 && port > 0",
        r#"src.workload =~ "(?i)WEB" && src.workload !~ "we""#,
        r#"src.label["app.kubernetes.io/name"] == "web \"1\"""#,
        "dst.as_number == 64500",
        r#"port =~ "4+3""#,
    ] {
        assert!(matches(text), "{text}");
    }
    for text in [
        r#"src.namespace == "sho""#,
        r#"src.namespace =~ "sho""#,
        r#"src.namespace =~ "hop|sho""#,
        r#"port in [53, 44]"#,
        "port < 443 || port > 443",
        r#"src.label["other"] == "web""#,
    ] {
        assert!(!matches(text), "{text}");
    }
}

#[test]
fn and_binds_tighter_than_or() {
    assert!(matches("port == 443 || port == 1 && port == 2"));
    assert!(!matches("(port == 443 || port == 1) && port == 2"));
}

#[test]
fn an_absent_value_is_the_empty_text_and_no_number() {
    for text in [
        r#"dst.workload == """#,
        r#"dst.workload in ["", "x"]"#,
        r#"src.as_number == """#,
        r#"port != """#,
        r#"dst.workload !~ ".+" && dst.workload =~ ".*""#,
        r#"dscp == """#,
        "!(dscp < 1) && !(dscp >= 0)",
        "dscp != 0",
        "src.pod == dst.pod",
    ] {
        assert!(matches(text), "{text}");
    }
}

#[test]
fn addresses_match_addresses_and_networks() {
    for text in [
        r#"src.address == "10.1.1.10""#,
        r#"src.address in ["192.0.2.0/24", "10.1.0.0/16"]"#,
        r#"dst.address == "2001:db8::/32""#,
        r#"src.address == "::ffff:10.1.1.10""#,
        r#"dst.address != "0.0.0.0/0""#,
        r#"dst.address =~ "2001:.*""#,
        "src.address != dst.address",
    ] {
        assert!(matches(text), "{text}");
    }
    assert!(!matches(r#"src.address == "10.1.1.0/29""#));
    assert!(!matches(r#"src.address == "::/0""#));
}

#[test]
fn protocols_match_by_name_and_by_number() {
    for text in [
        r#"protocol == "tcp""#,
        r#"protocol == "TCP""#,
        "protocol == 6",
        r#"protocol in ["udp", 6]"#,
        r#"protocol =~ "tcp|udp""#,
        r#"protocol != "udp""#,
    ] {
        assert!(matches(text), "{text}");
    }
}

#[test]
fn two_fields_are_compared() {
    assert!(matches("src.zone != dst.zone"));
    assert!(!matches("src.zone == dst.zone"));
    assert_eq!(
        error("src.zone == port"),
        (
            13,
            "src.zone and port have values of different types".into()
        )
    );
}

#[test]
fn a_mistake_is_reported_with_its_column() {
    let cases = [
        ("", 1, "expected the name of a field, found the end"),
        ("  ", 3, "expected the name of a field, found the end"),
        (
            "port",
            5,
            "expected ==, !=, =~, !~, <, <=, >, >= or in, found the end",
        ),
        ("port = 1", 6, "expected == or =~, found ="),
        ("port == 1 & port == 2", 11, "expected &&, found &"),
        ("port == 1 port", 11, "expected the end, found port"),
        ("(port == 1", 11, "expected ), found the end"),
        ("port == 1)", 10, "expected the end, found )"),
        ("port in 53", 9, "expected [, found 53"),
        (
            "port in []",
            10,
            "expected a number or a text in double quotes, found ]",
        ),
        ("port in [1 2]", 12, "expected ], found 2"),
        ("port == x", 9, "unknown field x"),
        (
            "src.workloads == \"a\"",
            1,
            "unknown field src.workloads; similar: src.workload",
        ),
        (
            "namespace == \"a\"",
            1,
            "unknown field namespace: must be src.namespace or dst.namespace",
        ),
        (
            "src.protocol == \"a\"",
            1,
            "unknown field src.protocol: must be protocol",
        ),
        (
            "src.label == \"a\"",
            1,
            "unknown field src.label: must have a key, e.g. src.label[\"team\"]",
        ),
        (
            "src.zone[\"a\"] == \"a\"",
            1,
            "unknown field src.zone with a key: must be src. or dst. and label or namespace_label",
        ),
        (
            "src.label[1] == \"a\"",
            11,
            "expected a key in double quotes",
        ),
        (
            "port == \"http\"",
            9,
            "port is a number: expected a number, found \"http\"",
        ),
        (
            "src.zone == 1",
            13,
            "src.zone is a text: expected \"1\" in double quotes",
        ),
        (
            "src.zone < 1",
            10,
            "< needs a number, and src.zone is not one",
        ),
        ("src.zone == \"a", 13, "text without a closing quote"),
        (
            "src.zone == \"\\t\"",
            14,
            r#"invalid escape: must be \\, \" or \n"#,
        ),
        (
            "port == 99999999999999999999",
            9,
            "invalid number 99999999999999999999: must be 0–18446744073709551615",
        ),
        (
            "port == 1.5",
            9,
            "invalid number 1.5: must be 0–18446744073709551615",
        ),
        ("port == -1", 9, "unexpected character '-'"),
        ("src.zone == 'a'", 13, "unexpected character '\\''"),
        (
            "src.address == \"10.0.0\"",
            16,
            "invalid address: must be an address or a CIDR in double quotes",
        ),
        (
            "src.zone =~ 1",
            13,
            "expected a regular expression in double quotes",
        ),
        (
            "src.zone =~ port",
            10,
            "=~ needs a literal; fields are compared by == and !=",
        ),
        ("src.zone == \"ü\" && x == 1", 20, "unknown field x"),
    ];
    for (text, column, reason) in cases {
        assert_eq!(error(text), (column, reason.to_owned()), "{text}");
    }
    let (column, reason) = error(r#"src.zone =~ "a(""#);
    assert_eq!(column, 13);
    assert!(
        reason.starts_with("invalid regular expression \"a(\": unclosed group"),
        "{reason}"
    );
    assert!(error(r#"src.zone =~ "a)|(b""#).1.contains("unopened group"));
    let (_, reason) = error(r#"protocol == "quic""#);
    assert!(reason.contains("must be 0–255"), "{reason}");
}

#[test]
fn size_depth_and_regular_expressions_are_limited() {
    let deep = |depth: usize| format!("{}port == 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(deep(MAX_DEPTH - 1).parse::<Expression>().is_ok());
    assert_eq!(
        error(&deep(MAX_DEPTH)),
        (33, "too deep: 32 levels are allowed".into())
    );
    assert!(error(&"!".repeat(4000)).1.contains("too deep"));
    let long = format!("port == 1{}", " ".repeat(MAX_OCTETS));
    assert!(error(&long).1.contains("too long"));
    let regexes = |count: usize| vec![r#"src.zone =~ "a""#; count].join(" || ");
    assert!(regexes(MAX_REGEXES).parse::<Expression>().is_ok());
    assert!(
        error(&regexes(MAX_REGEXES + 1))
            .1
            .contains("too many regular expressions")
    );
    let (_, reason) = error(r#"src.zone =~ "((a{1000}){1000}){1000}""#);
    assert!(reason.contains("size"), "{reason}");
    let many = vec!["port == 1"; 300].join("&&");
    assert!(many.parse::<Expression>().is_ok());
}

#[test]
fn the_fields_of_an_expression_are_known() {
    let expression: Expression = r#"src.zone != dst.zone && (port in [1] || !(class =~ "x"))"#
        .parse()
        .unwrap();
    let names: Vec<String> = expression.fields().map(ToString::to_string).collect();
    assert_eq!(names, ["src.zone", "dst.zone", "port", "class"]);
    assert_eq!(expression.to_string(), expression.text());
}

#[test]
fn every_field_is_written_as_it_is_read() {
    let keyed = [
        Field::Label(Side::Source, "a\"b\\c\nd".into()),
        Field::NamespaceLabel(Side::External, "team".into()),
    ];
    for field in Field::all().chain(keyed) {
        assert_eq!(field.to_string().parse::<Field>().unwrap(), field);
        let label = field.label_name();
        assert!(
            label.starts_with(|c: char| c.is_ascii_alphabetic()),
            "{label}"
        );
        assert!(
            label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
            "{label}"
        );
    }
    let label = |text: &str| text.parse::<Field>().unwrap().label_name();
    assert_eq!(label("src.namespace"), "src_namespace");
    assert_eq!(
        label(r#"dst.label["app.kubernetes.io/name"]"#),
        "dst_label_app_kubernetes_io_name"
    );
}

#[test]
fn a_list_of_fields_is_parsed_and_limited() {
    let fields = parse_fields(r#"src.namespace, dst.label["a,b"],class"#).unwrap();
    let names: Vec<String> = fields.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["src.namespace", r#"dst.label["a,b"]"#, "class"]);
    let column = |text: &str| parse_fields(text).unwrap_err().column;
    assert_eq!(column(""), 1);
    assert_eq!(column("class,"), 7);
    assert_eq!(column("class,zone"), 7);
    assert_eq!(column("class zone"), 7);
    assert_eq!(column("class,$"), 7);
    assert!(parse_fields(&vec!["class"; MAX_FIELDS + 1].join(",")).is_err());
}

#[test]
fn values_are_written_as_labels_have_them() {
    for (value, text) in [
        (Value::Absent, ""),
        (Value::text(""), ""),
        (Value::Text("a"), "a"),
        (Value::Number(7), "7"),
        (Value::Protocol(17), "udp"),
        (Value::Protocol(200), "200"),
        (
            Value::Address(Address::from_v4_bits(0x0a00_0001)),
            "10.0.0.1",
        ),
        (Value::address(Address::UNSPECIFIED), ""),
    ] {
        assert_eq!(value.to_string(), text);
    }
}
