//! Members as logfmt: `name=value`, separated by spaces. Values with spaces, quotes or equal signs
//! are in double quotes, escaped as in JSON. Lists and objects are such texts, too.

use flowproto::json;

use super::members;

/// Appends the members of a JSON object as logfmt.
pub(super) fn write(text: &[u8], out: &mut Vec<u8>) {
    for (at, (name, value)) in members::all(text).enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        let valid = |octet: &u8| if is_plain(*octet) { *octet } else { b'_' };
        out.extend(name.iter().map(valid));
        out.push(b'=');
        write_value(value, out);
    }
}

fn write_value(value: &[u8], out: &mut Vec<u8>) {
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    match (inner, value.first()) {
        (Some(inner), _) if !inner.is_empty() && inner.iter().copied().all(is_plain) => {
            out.extend_from_slice(inner);
        }
        (None, Some(b'[' | b'{')) => {
            json::write_string(&String::from_utf8_lossy(value), out);
        }
        _ => out.extend_from_slice(value),
    }
}

/// True for an octet that needs no quotes.
const fn is_plain(octet: u8) -> bool {
    octet > b' ' && !matches!(octet, b'"' | b'=' | b'\\' | 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_necessary() {
        for (json, expected) in [
            (r#""a":1,"b":"x","c":true"#, "a=1 b=x c=true"),
            (r#""a":"x y","b":"","c":"k=v""#, r#"a="x y" b="" c="k=v""#),
            (r#""a":"say \"hi\"""#, r#"a="say \"hi\"""#),
            (r#""a":[1,"x"],"b":2"#, r#"a="[1,\"x\"]" b=2"#),
            (r#""a b":{}"#, r#"a_b="{}""#),
            (r#""5:6":"0aff","f":"fd00::1""#, "5:6=0aff f=fd00::1"),
            ("", ""),
        ] {
            let mut out = Vec::new();
            write(json.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
