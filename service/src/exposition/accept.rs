//! The format that an HTTP `Accept` header asks for (RFC 9110 §12.5.1).

use super::Format;

impl Format {
    /// Selects the format for an HTTP `Accept` header: the one with the highest quality value. Of
    /// equal ones protobuf, then OpenMetrics 1.0.0. Text if none is listed.
    #[must_use]
    pub fn from_accept(accept: &str) -> Self {
        let (mut best, mut best_quality) = (Self::Text, 0.0);
        // Of equal quality values the last one here is used.
        for format in [Self::Text, Self::OpenMetrics, Self::Protobuf] {
            let ranges = accept.split(',').map(MediaRange::new);
            let qualities = ranges
                .filter(|range| range.is(format))
                .map(|range| range.quality);
            let quality = qualities.fold(0.0, f32::max);
            if quality > 0.0 && quality >= best_quality {
                (best, best_quality) = (format, quality);
            }
        }
        best
    }
}

/// One element of the header.
struct MediaRange<'a> {
    media_type: &'a str,
    quality: f32,
    version: Option<&'a str>,
    proto: Option<&'a str>,
    encoding: Option<&'a str>,
}

impl<'a> MediaRange<'a> {
    fn new(text: &'a str) -> Self {
        let mut parameters = text.split(';').map(str::trim);
        let mut range = Self {
            media_type: parameters.next().unwrap_or_default(),
            quality: 1.0,
            version: None,
            proto: None,
            encoding: None,
        };
        for (name, value) in parameters.filter_map(|parameter| parameter.split_once('=')) {
            let value = value.trim();
            match name.trim() {
                "q" => range.quality = value.parse().unwrap_or(0.0),
                "version" => range.version = Some(value),
                "proto" => range.proto = Some(value),
                "encoding" => range.encoding = Some(value),
                _ => {}
            }
        }
        range
    }

    fn is(&self, format: Format) -> bool {
        let is = |media_type: &str| self.media_type.eq_ignore_ascii_case(media_type);
        match format {
            Format::Text => is("text/plain") || is("text/*") || is("*/*"),
            Format::OpenMetrics => {
                is("application/openmetrics-text") && self.version.is_none_or(|v| v == "1.0.0")
            }
            Format::Protobuf => {
                is("application/vnd.google.protobuf")
                    && self.proto == Some("io.prometheus.client.MetricFamily")
                    && self.encoding == Some("delimited")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_selects_the_format() {
        let cases = [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            (
                "application/openmetrics-text;q=0.1,text/plain;q=0.9",
                Format::Text,
            ),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3",
                Format::Protobuf,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited,application/openmetrics-text;version=1.0.0",
                Format::Protobuf,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=text,text/plain;q=0.3",
                Format::Text,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited;q=0.5",
                Format::OpenMetrics,
            ),
            (";;q=x,,=", Format::Text),
        ];
        for (accept, format) in cases {
            assert_eq!(Format::from_accept(accept), format, "{accept:?}");
        }
    }
}
