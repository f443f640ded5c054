//! Files with a secret: a password or a token is the first line.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

/// Maximum length of the line, octets.
const MAX_OCTETS: usize = 4096;

/// Reads a password: the first line without its end. It can be empty.
///
/// # Errors
/// The file cannot be read, or the line is too long, not UTF-8 or has control characters. The
/// message does not name the file.
pub fn read_password(path: &Path) -> io::Result<String> {
    let line = String::from_utf8(read_line(path)?).ok();
    let password = line.filter(|line| !line.contains(char::is_control));
    password.ok_or_else(|| {
        let message = "its first line must be UTF-8 without control characters";
        io::Error::other(message)
    })
}

/// Reads a token: the first line without surrounding whitespace.
///
/// # Errors
/// The file cannot be read, or the token is too long, empty or not printable ASCII.
pub fn read_token(path: &Path) -> io::Result<String> {
    let line = read_line(path)?;
    let token = line.trim_ascii();
    if token.is_empty() {
        return Err(io::Error::other("its first line is empty"));
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        let message = "its first line must be printable ASCII without spaces";
        return Err(io::Error::other(message));
    }
    Ok(token.iter().copied().map(char::from).collect())
}

/// Reads the first line without its end.
fn read_line(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(MAX_OCTETS).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let mut file = BufReader::new(File::open(path)?).take(limit.saturating_add(2));
    file.read_until(b'\n', &mut line)?;
    let end = line.strip_suffix(b"\n").unwrap_or(&line);
    let end = end.strip_suffix(b"\r").unwrap_or(end).len();
    if end > MAX_OCTETS {
        let message = format!("its first line is longer than {MAX_OCTETS} octets");
        return Err(io::Error::other(message));
    }
    line.truncate(end);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8]) -> (Result<String, String>, Result<String, String>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), octets).unwrap();
        let text = |result: io::Result<String>| result.map_err(|error| error.to_string());
        (
            text(read_password(file.path())),
            text(read_token(file.path())),
        )
    }

    #[test]
    fn only_the_first_line_is_read() {
        for octets in [
            &b"secret"[..],
            b"secret\n",
            b"secret\r\n",
            b"secret\nmore\n",
        ] {
            assert_eq!(read(octets), (Ok("secret".into()), Ok("secret".into())));
        }
    }

    #[test]
    fn spaces_belong_to_a_password_and_not_to_a_token() {
        let (password, token) = read(b" a b \n");
        assert_eq!(password.unwrap(), " a b ");
        assert!(token.unwrap_err().contains("without spaces"));
        assert_eq!(read(b" ab \n").1.unwrap(), "ab");
    }

    #[test]
    fn a_password_can_be_empty_and_a_token_cannot() {
        let (password, token) = read(b"\n");
        assert_eq!(password.unwrap(), "");
        assert_eq!(token.unwrap_err(), "its first line is empty");
    }

    #[test]
    fn the_length_of_the_line_is_bounded() {
        let longest = [b'a'; MAX_OCTETS];
        assert_eq!(read(&longest).0.unwrap().len(), MAX_OCTETS);
        let with_end = [&longest[..], b"\r\n"].concat();
        assert_eq!(read(&with_end).0.unwrap().len(), MAX_OCTETS);
        let longer = [b'a'; MAX_OCTETS + 1];
        assert!(read(&longer).0.unwrap_err().contains("longer than 4096"));
    }

    #[test]
    fn octets_that_are_not_text_are_refused() {
        for octets in [&[0xff, b'\n'][..], b"a\rb", b"a\0"] {
            assert!(read(octets).0.unwrap_err().contains("must be UTF-8"));
        }
    }
}
