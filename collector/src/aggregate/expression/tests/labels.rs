//! Values of labels.

use super::*;

fn label(text: &str) -> String {
    let value: LabelValue = text
        .parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut out = String::from("=");
    value.write(&edge(), &mut out);
    out
}

#[test]
fn a_label_is_a_field_a_choice_a_join_or_a_condition() {
    for (text, value) in [
        ("src.namespace", "=shop"),
        ("dst.namespace", "="),
        ("dst.address", "=2001:db8::7"),
        ("protocol", "=tcp"),
        (r#""x""#, "=x"),
        (r#"dst.namespace ?? dst.pod ?? "unknown""#, "=unknown"),
        (r#"dst.namespace ?? src.namespace ?? "unknown""#, "=shop"),
        (
            r#""pod." + src.pod ?? "of." + src.workload + "." + port"#,
            "=of.web.443",
        ),
        (r#""pod." + src.pod"#, "="),
        (r#"dst.class == "external""#, "=true"),
        (r#"!(port in [443])"#, "=false"),
        (r#"(port > 1) && src.zone == dst.zone"#, "=false"),
        (r#"port in [443, 80]"#, "=true"),
    ] {
        assert_eq!(label(text), value, "{text}");
    }
}

#[test]
fn a_mistake_in_a_label_has_its_column() {
    for (text, column, reason) in [
        (
            "",
            1,
            "expected a field or a text in double quotes, found the end",
        ),
        (
            "src.namespace ??",
            17,
            "expected a field or a text in double quotes, found the end",
        ),
        (
            "src.namespace + 7",
            17,
            "expected a field or a text in double quotes, found 7",
        ),
        ("src.namespace ? port", 15, "expected ??, found ?"),
        ("src.namespace port", 15, "expected the end, found port"),
        ("src.nothing", 1, "unknown field src.nothing"),
        (
            r#"src.zone == "a" ?? port"#,
            17,
            "expected the end, found ??",
        ),
    ] {
        let error = text.parse::<LabelValue>().unwrap_err();
        assert_eq!(
            (error.column, error.reason.as_str()),
            (column, reason),
            "{text}"
        );
    }
}

#[test]
fn the_fields_of_a_label_are_those_that_it_reads() {
    let fields = |text: &str| -> Vec<String> {
        let value: LabelValue = text.parse().unwrap();
        value.fields().map(ToString::to_string).collect()
    };
    let text = r#""pod." + src.pod ?? dst.label["a"]"#;
    assert_eq!(fields(text), ["src.pod", r#"dst.label["a"]"#]);
    assert_eq!(fields("src.zone == dst.zone"), ["src.zone", "dst.zone"]);
    let field = |text: &str| text.parse::<LabelValue>().unwrap().as_field().cloned();
    assert_eq!(field("port"), Some(Field::Record(RecordField::Port)));
    assert_eq!(field("port ?? protocol"), None);
}
