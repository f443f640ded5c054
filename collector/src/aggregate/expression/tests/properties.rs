//! Any text is an expression or has a column; any expression has the value of its parts.

use proptest::prelude::*;

use super::*;

/// An expression as a test knows it: how it is written, and its value.
#[derive(Clone, Debug)]
enum Model {
    Text(Field, bool, String),
    Number(Field, &'static str, u64),
    In(Field, Vec<u64>),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl Model {
    fn text(&self) -> String {
        let join = |parts: &[Self], sign: &str| {
            let parts: Vec<String> = parts
                .iter()
                .map(|part| format!("({})", part.text()))
                .collect();
            parts.join(sign)
        };
        match self {
            Self::Text(field, is_equal, text) => {
                let sign = if *is_equal { "==" } else { "!=" };
                format!("{field} {sign} {}", Quoted(text))
            }
            Self::Number(field, sign, number) => format!("{field}{sign}{number}"),
            Self::In(field, numbers) => format!("{field} in {numbers:?}"),
            Self::Not(part) => format!("! ({})", part.text()),
            Self::All(parts) => join(parts, "&&"),
            Self::Any(parts) => join(parts, " || "),
        }
    }

    fn value(&self, edge: &Edge) -> bool {
        let value = |field: &Field| edge.0.get(field).cloned().unwrap_or_default();
        match self {
            Self::Text(field, is_equal, text) => (value(field) == *text) == *is_equal,
            Self::Number(field, sign, number) => match value(field).parse::<u64>() {
                Err(_) => *sign == "!=",
                Ok(value) => match *sign {
                    "==" => value == *number,
                    "!=" => value != *number,
                    "<" => value < *number,
                    "<=" => value <= *number,
                    ">" => value > *number,
                    _ => value >= *number,
                },
            },
            Self::In(field, numbers) => {
                let value = value(field).parse();
                value.is_ok_and(|value: u64| numbers.contains(&value))
            }
            Self::Not(part) => !part.value(edge),
            Self::All(parts) => parts.iter().all(|part| part.value(edge)),
            Self::Any(parts) => parts.iter().any(|part| part.value(edge)),
        }
    }
}

fn text_field() -> impl Strategy<Value = Field> {
    let side = prop_oneof![Just(Side::Source), Just(Side::Destination)];
    prop_oneof![
        side.clone()
            .prop_map(|side| Field::Endpoint(side, EndpointField::Namespace)),
        (side, "[ab\"\\\\/]{0,2}").prop_map(|(side, key)| Field::Label(side, key.into())),
        Just(Field::Record(RecordField::InputInterface)),
    ]
}

fn number_field() -> impl Strategy<Value = Field> {
    prop_oneof![
        Just(Field::Record(RecordField::Port)),
        Just(Field::Record(RecordField::Dscp)),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let sign = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        (text_field(), any::<bool>(), "[ab\"\\\\\n]{0,2}")
            .prop_map(|(field, is_equal, text)| Model::Text(field, is_equal, text)),
        (number_field(), sign, 0..4_u64).prop_map(|(f, s, n)| Model::Number(f, s, n)),
        (number_field(), prop::collection::vec(0..4_u64, 1..3)).prop_map(|(f, n)| Model::In(f, n)),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| Model::Not(Box::new(part))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Model::All),
            prop::collection::vec(inner, 1..4).prop_map(Model::Any),
        ]
    })
}

fn any_edge() -> impl Strategy<Value = Edge> {
    let texts = prop::collection::hash_map(text_field(), "[ab\"\\\\\n]{0,2}", 0..6);
    let numbers = prop::collection::hash_map(number_field(), "[0-3]", 0..3);
    (texts, numbers).prop_map(|(texts, numbers)| Edge(texts.into_iter().chain(numbers).collect()))
}

proptest! {
    #[test]
    fn an_expression_has_the_value_of_its_parts(
        model in model(),
        edges in prop::collection::vec(any_edge(), 8),
    ) {
        let text = model.text();
        let expression: Expression = text.parse().unwrap();
        for edge in edges {
            let wanted = model.value(&edge);
            prop_assert_eq!(expression.matches(&edge), wanted, "{} of {:?}", text, edge);
        }
    }

    #[test]
    fn any_text_is_an_expression_or_has_a_column(text in "\\PC{0,40}") {
        if let Err(error) = text.parse::<Expression>() {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column));
        }
        if let Err(error) = parse_fields(&text) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column));
        }
    }

    #[test]
    fn any_tokens_are_an_expression_or_have_a_column(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "src.zone", "port", "dst.label", "[", "]", "(", ")", "!", "&&", "||", "==", "=~", "in",
            "<", ",", "1", "\"a\"", "\"(\"", "protocol", "src.address", "\"10.0.0.0/8\"", " ",
        ]), 0..14)
    ) {
        let text = tokens.concat();
        if let Err(error) = text.parse::<Expression>() {
            prop_assert!((1..=text.len() + 1).contains(&error.column), "{} {:?}", text, error);
        }
    }
}
