//! Expressions as conditions in SQL.

use super::columns::{FieldSql, is_ipv4};
use super::statement::Statement;
use super::tables::TableKind;
use crate::aggregate::expression::{Predicate, Test};
use crate::aggregate::field::Field;

/// The condition of an expression over a table. Its literals become parameters of the statement.
/// `Err` is a field that the table does not have.
pub(super) fn condition(
    table: TableKind,
    predicate: &Predicate,
    statement: &mut Statement,
) -> Result<String, Field> {
    let mut all = |parts: &[Predicate], operator: &str| {
        let parts = parts.iter().map(|part| condition(table, part, statement));
        let parts = parts.collect::<Result<Vec<String>, Field>>()?;
        Ok(format!("({})", parts.join(operator)))
    };
    match predicate {
        Predicate::Any(parts) => all(parts, " OR "),
        Predicate::All(parts) => all(parts, " AND "),
        Predicate::Not(part) => Ok(format!("NOT {}", condition(table, part, statement)?)),
        Predicate::Test(field, test) => Ok(of_test(&field_of(table, field)?, test, statement)),
        Predicate::Same(one, other) => {
            let [one, other] = [field_of(table, one)?, field_of(table, other)?];
            Ok(format!(
                "(({a} AND {b}) OR (NOT ({a}) AND NOT ({b}) AND {} = {}))",
                one.value,
                other.value,
                a = one.absent,
                b = other.absent
            ))
        }
    }
}

fn field_of(table: TableKind, field: &Field) -> Result<FieldSql, Field> {
    FieldSql::of(table, field).ok_or_else(|| field.clone())
}

fn of_test(field: &FieldSql, test: &Test, statement: &mut Statement) -> String {
    let FieldSql { value, absent, .. } = field;
    let is_present_and = |condition: String| format!("(NOT ({absent}) AND {condition})");
    match test {
        Test::Absent => format!("({absent})"),
        Test::Texts(texts) => {
            let texts = texts.iter().map(|text| statement.add_text(text));
            is_present_and(one_of(value, texts))
        }
        Test::Numbers(numbers) => {
            let numbers = numbers.iter().map(|number| statement.add_number(*number));
            is_present_and(one_of(value, numbers))
        }
        Test::Less(limit) => is_present_and(format!("{value} < {}", statement.add_number(*limit))),
        Test::Greater(limit) => {
            is_present_and(format!("{value} > {}", statement.add_number(*limit)))
        }
        Test::Networks(networks) => {
            let networks = networks.iter().map(|(first, last)| {
                // IPv4 lies within the range of `::/0`.
                let family = if first.is_ipv4() { "" } else { "NOT " };
                let family = format!("{family}{}", is_ipv4(value));
                let [first, last] = [*first, *last].map(|address| statement.add_address(address));
                format!("({family} AND {value} BETWEEN {first} AND {last})")
            });
            let networks: Vec<String> = networks.collect();
            is_present_and(format!("({})", networks.join(" OR ")))
        }
        // The pattern has anchors.
        Test::Regex(regex) => {
            let pattern = statement.add_text(regex.as_str());
            format!("match({}, {pattern})", field.label())
        }
    }
}

/// The condition that a value is one of several.
fn one_of(value: &str, others: impl Iterator<Item = String>) -> String {
    let others: Vec<String> = others.map(|other| format!("{value} = {other}")).collect();
    format!("({})", others.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::expression::Expression;

    fn sql(table: TableKind, expression: &str) -> (Result<String, String>, Vec<String>) {
        let expression: Expression = expression.parse().unwrap();
        let mut statement = Statement::default();
        let sql = condition(table, expression.predicate(), &mut statement);
        let values = statement.parameters.into_iter().map(|(_, value)| value);
        (sql.map_err(|field| field.to_string()), values.collect())
    }

    #[test]
    fn literals_are_parameters() {
        let (text, values) = sql(
            TableKind::Flows,
            r#"src.namespace in ["a'", "b"] && !(dst.workload =~ "x|y")"#,
        );
        assert_eq!(
            text.unwrap(),
            "((NOT (sourceNamespace = '') AND (sourceNamespace = {p0:String} \
             OR sourceNamespace = {p1:String})) AND NOT match(destinationWorkloadName, {p2:String}))"
        );
        assert_eq!(values, ["a'", "b", r"\\A(?:x|y)\\z"]);
    }

    #[test]
    fn a_number_and_an_address_have_no_order_if_they_are_absent() {
        let (text, values) = sql(TableKind::Flows, "src.as_number >= 7");
        assert_eq!(
            text.unwrap(),
            "((NOT (sourceAsNumber = 0) AND sourceAsNumber > {p0:UInt64}) OR \
             (NOT (sourceAsNumber = 0) AND (sourceAsNumber = {p1:UInt64})))"
        );
        assert_eq!(values, ["7", "7"]);
        let (text, values) = sql(TableKind::Flows, r#"exporter == "10.0.0.0/8""#);
        assert!(text.unwrap().contains("BETWEEN {p0:IPv6} AND {p1:IPv6}"));
        assert_eq!(values, ["::ffff:10.0.0.0", "::ffff:10.255.255.255"]);
    }

    #[test]
    fn a_field_that_the_table_does_not_have_is_named() {
        let (text, _) = sql(TableKind::Workloads, r#"class == "link" || port == 5"#);
        assert_eq!(text.unwrap_err(), "port");
        let (text, _) = sql(TableKind::Flows, "src.class == dst.class");
        assert_eq!(text.unwrap_err(), "src.class");
    }
}
