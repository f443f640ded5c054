//! Statements with parameters.

use flowproto::Address;

/// The text of a statement and the values of its parameters. A value that a client of the API sends
/// is always a parameter, never part of the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    /// The text, in which a parameter is `{NAME:TYPE}`.
    pub(super) text: String,
    /// Names and values of the parameters, as ClickHouse reads them.
    pub(super) parameters: Vec<(String, String)>,
}

impl Statement {
    /// Adds a parameter and returns its place in the text.
    fn add(&mut self, kind: &str, value: String) -> String {
        let name = format!("p{}", self.parameters.len());
        let place = format!("{{{name}:{kind}}}");
        self.parameters.push((name, value));
        place
    }

    /// Adds a text.
    pub(super) fn add_text(&mut self, text: &str) -> String {
        self.add("String", escaped(text))
    }

    /// Adds a number.
    pub(super) fn add_number(&mut self, number: u64) -> String {
        self.add("UInt64", number.to_string())
    }

    /// Adds an address. IPv4 addresses are mapped, as in the tables.
    pub(super) fn add_address(&mut self, address: Address) -> String {
        let text = if address.is_ipv4() {
            format!("::ffff:{address}")
        } else {
            address.to_string()
        };
        self.add("IPv6", text)
    }
}

/// A text as ClickHouse reads it from a parameter: as a value of the format TabSeparated.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\0' => escaped.push_str("\\0"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_part_of_the_text() {
        let mut statement = Statement::default();
        let address: std::net::IpAddr = "10.1.1.1".parse().unwrap();
        let places = [
            statement.add_text("a'; DROP TABLE x --\t\\\n{p0:String}"),
            statement.add_number(u64::MAX),
            statement.add_address(address.into()),
        ];
        assert_eq!(places, ["{p0:String}", "{p1:UInt64}", "{p2:IPv6}"]);
        let values: Vec<&str> = statement
            .parameters
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        let wanted = [
            "a'; DROP TABLE x --\\t\\\\\\n{p0:String}",
            "18446744073709551615",
            "::ffff:10.1.1.1",
        ];
        assert_eq!(values, wanted);
    }
}
