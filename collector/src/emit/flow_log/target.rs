//! The target of the flow log.

use std::path::PathBuf;

use kipfix_export::rotation::Rotation;
use kipfix_export::target::parse_file;

/// Where lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLogTarget {
    text: String,
    /// The parsed text.
    pub kind: FlowLogTargetKind,
}

/// The kinds of target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowLogTargetKind {
    /// `stdout:`
    Stdout,
    /// `file:PATH`, to which lines are appended.
    File {
        /// The file.
        path: PathBuf,
        /// When it is renamed and the next one starts.
        rotation: Rotation,
    },
}

impl std::str::FromStr for FlowLogTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = kind(text).map_err(|problem| {
            format!(
                "invalid flow log target {text:?}: {problem}: must be stdout: or \
                 file:PATH[?rotate-size=SIZE&rotate-every=DURATION&keep=N]"
            )
        })?;
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }
}

fn kind(text: &str) -> Result<FlowLogTargetKind, String> {
    match text.split_once(':') {
        Some(("stdout", "")) => Ok(FlowLogTargetKind::Stdout),
        Some(("file", rest)) => {
            let (path, rotation) = parse_file(rest)?;
            Ok(FlowLogTargetKind::File { path, rotation })
        }
        _ => Err("unknown scheme".to_owned()),
    }
}

kipfix_service::text_setting!(FlowLogTarget);

impl std::fmt::Display for FlowLogTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_written_as_it_was_read() {
        for text in [
            "stdout:",
            "file:/var/log/flows.json",
            "file:flows.log?rotate-size=1MiB&rotate-every=1h&keep=3",
        ] {
            assert_eq!(text.parse::<FlowLogTarget>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_invalid_target_is_named_with_what_is_allowed() {
        for (text, reason) in [
            ("stdout", "unknown scheme"),
            ("stdout:x", "unknown scheme"),
            ("/tmp/x", "unknown scheme"),
            ("", "unknown scheme"),
            ("file:", "missing path"),
            ("file:x?keep=2", "keep requires"),
            ("file:x?rotate-size=5", "64KiB–1024GiB"),
            ("file:x?max-size=1M", "unknown parameter \"max-size\""),
        ] {
            let error = text.parse::<FlowLogTarget>().unwrap_err();
            assert!(error.contains("stdout: or file:PATH"), "{error}");
            assert!(error.contains(reason), "{error} lacks {reason}");
        }
    }
}
