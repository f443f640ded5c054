//! The members of a JSON object as text: where one ends, and which of them stay.

/// The end of the member that begins at `from`: the position of the comma behind it, or the end of
/// the text.
fn member_end(text: &[u8], from: usize) -> usize {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    let octets = text.get(from..).unwrap_or_default();
    let end = octets.iter().position(|octet| {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => return depth == 0,
            _ => {}
        }
        false
    });
    from.saturating_add(end.unwrap_or(octets.len()))
}

/// The name of a member, without its quotes, as it is written.
fn name(member: &[u8]) -> &[u8] {
    let Some(text) = member.strip_prefix(b"\"") else {
        return &[];
    };
    let mut is_escaped = false;
    let end = text.iter().position(|octet| {
        let is_end = *octet == b'"' && !is_escaped;
        is_escaped = *octet == b'\\' && !is_escaped;
        is_end
    });
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// Removes the members between `begin` and `end` that `is_removed` chooses: it is called with the
/// name of each, in their order. Returns the new end.
pub(super) fn remove(
    out: &mut Vec<u8>,
    begin: usize,
    end: usize,
    mut is_removed: impl FnMut(&[u8]) -> bool,
) -> usize {
    let mut write = begin;
    let mut read = begin;
    while read < end {
        let member = read..member_end(out.get(..end).unwrap_or_default(), read);
        read = member.end.saturating_add(1);
        let text = out.get(member.clone()).unwrap_or_default();
        if is_removed(name(text)) {
            continue;
        }
        if write > begin {
            if let Some(separator) = out.get_mut(write) {
                *separator = b',';
            }
            write = write.saturating_add(1);
        }
        let length = member.len();
        out.copy_within(member, write);
        write = write.saturating_add(length);
    }
    out.drain(write..end);
    write
}

/// The members of a text: names without their quotes, and values, both as they are written.
pub(super) fn all(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let end = (at < text.len()).then(|| member_end(text, at))?;
        let member = text.get(at..end)?;
        at = end.saturating_add(1);
        let name = name(member);
        // Two quotes and a colon.
        let value = member.get(name.len().saturating_add(3)..);
        Some((name, value.unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: &str = r#""a":1,"b":[2,{"a":"\",\"c\":"}],"c":"x,","d":{}"#;

    #[test]
    fn members_are_separated_whatever_their_values_are() {
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        let found: Vec<_> = all(MEMBERS.as_bytes())
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        let expected = [
            ("a", "1"),
            ("b", r#"[2,{"a":"\",\"c\":"}]"#),
            ("c", r#""x,""#),
            ("d", "{}"),
        ];
        assert_eq!(found, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn a_name_can_contain_a_quote() {
        let found: Vec<_> = all(br#""a\"b":1,"c\\":2"#).collect();
        let expected = [(&br#"a\"b"#[..], &b"1"[..]), (br"c\\", b"2")];
        assert_eq!(found, expected);
    }

    #[test]
    fn removed_members_leave_a_valid_text() {
        for (removed, rest) in [
            ("", MEMBERS),
            ("a", r#""b":[2,{"a":"\",\"c\":"}],"c":"x,","d":{}"#),
            ("bd", r#""a":1,"c":"x,""#),
            ("abcd", ""),
        ] {
            let mut out = format!("before{MEMBERS}after").into_bytes();
            let end = out.len() - 5;
            let is_removed = |name: &[u8]| removed.as_bytes().contains(&name[0]);
            let end = remove(&mut out, 6, end, is_removed);
            assert_eq!(out, format!("before{rest}after").as_bytes(), "{removed}");
            assert_eq!(end, 6 + rest.len());
        }
    }
}
