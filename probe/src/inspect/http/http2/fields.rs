//! What metering reads of a field block.

use flowproto::http::{GrpcStatus, HttpMethod};

use super::hpack::FieldName;

/// Octets of a host name, with its port.
const MAX_AUTHORITY: usize = 262;
/// Octets of a path that are read.
const MAX_PATH: usize = 1024;

/// The fields of a block.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) method: Option<HttpMethod>,
    /// 100–999.
    pub(super) status_code: Option<u16>,
    pub(super) grpc_status: Option<GrpcStatus>,
    pub(super) is_grpc: bool,
    path: FieldText<MAX_PATH>,
    authority: FieldText<MAX_AUTHORITY>,
}

/// A value that is copied.
#[derive(Debug)]
struct FieldText<const N: usize> {
    octets: [u8; N],
    length: usize,
}

impl<const N: usize> FieldText<N> {
    /// Copies a value, if it fits.
    fn set(&mut self, value: &[u8]) {
        if let Some(room) = self.octets.get_mut(..value.len()) {
            room.copy_from_slice(value);
            self.length = value.len();
        }
    }

    fn get(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            method: None,
            status_code: None,
            grpc_status: None,
            is_grpc: false,
            path: FieldText {
                octets: [0; MAX_PATH],
                length: 0,
            },
            authority: FieldText {
                octets: [0; MAX_AUTHORITY],
                length: 0,
            },
        }
    }
}

impl Fields {
    /// Notes a field.
    pub(super) fn set(&mut self, name: FieldName, value: &[u8]) {
        match name {
            FieldName::Method => {
                let method = std::str::from_utf8(value).ok();
                let method = method.and_then(|method| method.parse().ok());
                self.method = Some(method.unwrap_or_default());
            }
            FieldName::Status => self.status_code = status_code(value),
            FieldName::Path => self.path.set(value),
            FieldName::Authority => self.authority.set(value),
            FieldName::Host if self.authority.length == 0 => self.authority.set(value),
            FieldName::ContentType => self.is_grpc = is_grpc(value),
            FieldName::GrpcStatus => self.grpc_status = Some(GrpcStatus::of_text(value)),
            FieldName::Host | FieldName::Other => {}
        }
    }

    /// The path; empty if there is none, as for CONNECT.
    pub(super) fn path(&self) -> &[u8] {
        self.path.get()
    }

    /// The authority, or the host without one.
    pub(super) fn authority(&self) -> &[u8] {
        self.authority.get()
    }
}

fn status_code(value: &[u8]) -> Option<u16> {
    let is_code = value.len() == 3 && value.iter().all(u8::is_ascii_digit);
    let code = std::str::from_utf8(value).ok()?.parse().ok()?;
    (is_code && code >= 100).then_some(code)
}

/// True for `application/grpc`, also with a format or parameters. gRPC-Web is another protocol.
fn is_grpc(content_type: &[u8]) -> bool {
    const NAME: &[u8] = b"application/grpc";
    content_type
        .split_at_checked(NAME.len())
        .is_some_and(|(name, rest)| {
            name.eq_ignore_ascii_case(NAME) && matches!(rest, [] | [b'+' | b';' | b' ', ..])
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_name() {
        let mut fields = Fields::default();
        for (name, value) in [
            (FieldName::Method, "PROPFIND"),
            (FieldName::Host, "other.test"),
            (FieldName::Authority, "a.test:8080"),
            (FieldName::Host, "b.test"),
            (FieldName::Path, "/a"),
            (FieldName::Status, "204"),
            (FieldName::GrpcStatus, "5"),
        ] {
            fields.set(name, value.as_bytes());
        }
        assert_eq!(fields.method, Some(HttpMethod::Other));
        assert_eq!(
            (fields.path(), fields.authority()),
            (&b"/a"[..], &b"a.test:8080"[..])
        );
        assert_eq!(fields.status_code, Some(204));
        assert_eq!(fields.grpc_status, Some(GrpcStatus::NotFound));
        for invalid in ["99", "1000", "2 0", "+20", ""] {
            fields.set(FieldName::Status, invalid.as_bytes());
            assert_eq!(fields.status_code, None, "{invalid}");
        }
    }

    #[test]
    fn the_content_type_identifies_grpc() {
        for (value, wanted) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC; charset=utf-8", true),
            ("application/grpc-web+proto", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(value.as_bytes()), wanted, "{value}");
        }
    }
}
