//! The dump of datagrams, and what the decoder makes of the same.

use flowproto::collector::{CollectingProcess, Limits};
use flowproto::explain::{Bounds, Captured, Explainer, Rule};

use crate::decoding::NoSink;
use crate::input::{BEGAN, chunks};

/// Problems of octets that the decoder cannot use.
const UNREADABLE: [Rule; 17] = [
    Rule::UnknownVersion,
    Rule::HeaderTruncated,
    Rule::MessageTooShort,
    Rule::MessageTooLong,
    Rule::FlowCount,
    Rule::SetTooShort,
    Rule::SetOverrun,
    Rule::ReservedSet,
    Rule::TemplateId,
    Rule::FieldCount,
    Rule::EmptyTemplate,
    Rule::ScopeCount,
    Rule::OptionsLength,
    Rule::TooManyTemplates,
    Rule::WithdrawalUnknown,
    Rule::NoTemplate,
    Rule::FieldOverrun,
];
/// Maximum size of the text for one datagram, including lines that started before the limit.
const MOST_TEXT: usize = 9 << 20;

/// Maximum octets of a Message.
const MOST_MESSAGE: usize = 65_535;

/// The summary.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    datagrams: u64,
    messages: u64,
    templates: u64,
    records: u64,
    options_records: u64,
    octets: u64,
}

/// Datagrams into the dump: it is text without control characters, of a bounded size, whose offsets
/// are within the datagram; it counts what the decoder counts; and what the decoder could not use,
/// the dump has a problem for.
pub(crate) fn explain(data: &[u8]) {
    let mut explainer = Explainer::new(Bounds::default());
    let mut process = CollectingProcess::new(Limits::default());
    // The dump ends waits every second of the time of its datagrams.
    let (mut now, mut expired) = (BEGAN, 0_u64);
    for chunk in chunks(data) {
        now += chunk.step();
        let mut page = Vec::new();
        let captured = Captured {
            exporter: chunk.exporter(),
            time_milliseconds: Some(now).filter(|_| !chunk.ticks()),
            octets: chunk.octets,
        };
        explainer.explain(&captured, &mut page);
        check_page(page, chunk.octets.len());
        let time = captured.time_milliseconds.unwrap_or(expired);
        process.receive(chunk.exporter(), chunk.octets, time, &mut NoSink);
        if time.abs_diff(expired) >= 1000 {
            expired = time;
            process.expire(time);
        }
    }
    let mut summary = Vec::new();
    explainer.summarize(&mut summary);
    let summary = check_text(summary);
    let unreadable: u64 = UNREADABLE.iter().map(|p| explainer.count(*p)).sum();
    let (sum, counters) = (sum(&summary), process.counters());
    assert_eq!(sum.datagrams, counters.datagrams);
    let unusable = counters.unusable.total();
    let mut counted = Sum {
        datagrams: counters.datagrams,
        messages: counters.messages.values().sum(),
        templates: counters.templates,
        records: counters.records,
        options_records: counters.options_records,
        octets: counters.octets,
    };
    if unreadable == 0 {
        assert_eq!(unusable, 0, "{counters:?}\n{summary}");
    } else {
        // Invalid templates are in the dump only, and octets that are not a Message in the counters
        // only.
        counted.templates = sum.templates;
        counted.octets = sum.octets;
    }
    assert_eq!(sum, counted, "{summary}");
    let all: u64 = Rule::ALL.iter().map(|p| explainer.count(*p)).sum();
    let reports_none = summary.contains("No problem found");
    assert_eq!(all == 0 && sum.datagrams > 0, reports_none, "{summary}");
}

fn check_text(text: Vec<u8>) -> String {
    let text = String::from_utf8(text).expect("a page is UTF-8");
    let strange = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(strange, None, "{text:?}");
    text
}

fn check_page(page: Vec<u8>, octets: usize) {
    assert!(page.len() <= MOST_TEXT);
    let mut octets = octets;
    for line in check_text(page).lines() {
        if line.contains(" of an earlier Message, ") {
            // Its offsets are those in that Message, which may be longer.
            octets = octets.max(MOST_MESSAGE);
        }
        // A margin, an offset, a text.
        let offset = line
            .get(1..8)
            .and_then(|text| text.trim().parse::<usize>().ok());
        if !line.starts_with('#')
            && let Some(offset) = offset
        {
            assert!(offset <= octets, "{offset} of {octets}: {line}");
        }
    }
}

/// The first line, and the column of octets.
fn sum(summary: &str) -> Sum {
    let mut lines = summary.lines();
    let words: Vec<u64> = lines
        .next()
        .unwrap()
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [datagrams, messages, templates, records, options_records] = words[..] else {
        panic!("{summary}");
    };
    let rows = lines.skip_while(|line| !line.contains("EXPORTER")).skip(1);
    let octets = rows
        .take_while(|line| !line.is_empty())
        .map(|row| {
            let columns: Vec<&str> = row.split_whitespace().collect();
            columns[columns.len() - 2].parse::<u64>().unwrap()
        })
        .sum();
    Sum {
        datagrams,
        messages,
        templates,
        records,
        options_records,
        octets,
    }
}
