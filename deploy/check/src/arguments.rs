//! The command line.

use anyhow::{Context as _, Result, bail, ensure};

use crate::path::Targets;

const USAGE: &str = "kipfix-check [--collector HOST:PORT [--collector-ca FILE]] \
     [--probe HOST:PORT [--probe-ca FILE]] [--cert FILE --key FILE] [--wait SECONDS]\n\
     With a CA, TLS is used; --cert and --key are presented to both. A host name stands for all of its addresses. --wait is the maximum time until records have \
     reached a collector [default: 60].";
/// The daemons, and the maximum number of attempts, one per second.
pub(crate) fn parse(arguments: &[String]) -> Result<(Targets, u32)> {
    let (mut targets, mut wait) = (Targets::default(), 60);
    let (mut cert, mut key) = (None, None);
    for pair in arguments.chunks(2) {
        let [flag, value] = pair else {
            bail!("usage: {USAGE}");
        };
        let text = match flag.as_str() {
            "--collector" => &mut targets.collector,
            "--collector-ca" => &mut targets.collector_files.ca,
            "--probe" => &mut targets.probe,
            "--probe-ca" => &mut targets.probe_files.ca,
            "--cert" => &mut cert,
            "--key" => &mut key,
            "--wait" => {
                wait = value
                    .parse()
                    .with_context(|| format!("invalid --wait {value:?}: must be seconds"))?;
                continue;
            }
            _ => bail!("usage: {USAGE}"),
        };
        *text = Some(value.clone());
    }
    let has_target = targets.collector.is_some() || targets.probe.is_some();
    ensure!(
        has_target && cert.is_some() == key.is_some(),
        "usage: {USAGE}"
    );
    let identity = cert.zip(key);
    targets.collector_files.identity.clone_from(&identity);
    targets.probe_files.identity = identity;
    Ok((targets, wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Targets, u32)> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn the_client_certificate_is_for_both_daemons() {
        let line = "--collector c:1 --collector-ca a --probe p:2 --cert x --key y --wait 5";
        let (targets, wait) = parsed(line).unwrap();
        assert_eq!(wait, 5);
        assert_eq!(targets.collector.as_deref(), Some("c:1"));
        assert_eq!(targets.collector_files.ca.as_deref(), Some("a"));
        assert_eq!(targets.probe_files.ca, None);
        let identity = Some(("x".to_owned(), "y".to_owned()));
        assert_eq!(targets.collector_files.identity, identity);
        assert_eq!(targets.probe_files.identity, identity);
    }

    #[test]
    fn an_incomplete_line_shows_the_usage() {
        for line in ["", "--collector", "--other x", "--wait 5"] {
            let error = format!("{:#}", parsed(line).unwrap_err());
            assert!(error.starts_with("usage: kipfix-check"), "{line}: {error}");
        }
        assert!(parsed("--probe p:2 --cert x").is_err());
        assert!(parsed("--probe p:2 --wait soon").is_err());
    }
}
