//! `docs/interop.md`: a row for each peer, version and transport that was tried. A test that ran holds its rows
//! against the page, or writes them there; what this machine cannot run leaves its rows as they are.

use std::collections::BTreeSet;
use std::path::Path;

const PATH: &str = "docs/interop.md";

const HEAD: &str = "\
# Who reads whom

Written by `make interop`, which runs the real programs against each other; `make test` holds every row that the machine can run against
what it sees. *Equal* means exactly that: as many flow records, and every flow's octets and packets, as were sent; for sequence, that the
reader, which notices a Message that is taken away, saw none missing and none out of order (goflow2, and tshark of v5: that it
tells the numbers that were sent). The traffic is TCP, UDP and ICMP over IPv4 and IPv6, plain, VLAN-tagged and in
VXLAN, some of it fragmented.
";

const FOOT: &str = "
## What is not equal, and why

";

/// Which way the records go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    Export,
    Collect,
}

impl Section {
    const ALL: [Self; 2] = [Self::Export, Self::Collect];

    const fn heading(self) -> &'static str {
        match self {
            Self::Export => "## Our export, read by others",
            Self::Collect => "## Others' export, read by our collector",
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Export => "What the reader has, beside what the probe metered.",
            Self::Collect => {
                "What our collector has, beside what nfdump reads of the same datagrams, or what is known to have been sent."
            }
        }
    }

    const fn first_column(self) -> &'static str {
        match self {
            Self::Export => "reader",
            Self::Collect => "exporter",
        }
    }
}

/// What is other than sent, and why that is as it should be.
pub(crate) struct Difference {
    short: &'static str,
    why: &'static str,
}

/// NetFlow v5 has no IPv6.
pub(crate) const IPV4_ALONE: Difference = Difference {
    short: "equal, IPv4 alone",
    why: "NetFlow v5 has no fields for IPv6. The probe does not send such records and counts them: \
          `kipfix_probe_target_records_lost_total{reason=\"ipv6_in_netflow5\"}`.",
};

/// nfdump's way to count.
pub(crate) const OPTIONS_UNCOUNTED: Difference = Difference {
    short: "complains",
    why: "IPFIX sequence numbers count options data too (RFC 7011 §3.1, §2), which nfdump leaves out: it takes the Message behind them \
          for one out of order. Nothing is missing.",
};

/// A tool that has nothing to say.
pub(crate) const UNTOLD: Difference = Difference {
    short: "–",
    why: "The tool does not look at sequence numbers.",
};

const DIFFERENCES: [&Difference; 3] = [&IPV4_ALONE, &OPTIONS_UNCOUNTED, &UNTOLD];

/// What came of a quantity.
pub(crate) enum Cell {
    Equal,
    Differs(&'static Difference),
    /// Not what it should be, with what it is.
    Wrong(String),
}

/// What came of one peer, version and transport.
pub(crate) struct Row {
    pub(crate) peer: &'static str,
    pub(crate) version: &'static str,
    pub(crate) transport: &'static str,
    /// Records, octets, packets, sequence.
    pub(crate) cells: [Cell; 4],
    /// The peer's release here; another machine has another one, so it is not compared.
    pub(crate) release: String,
}

impl Row {
    fn line(&self) -> String {
        let mut cells = vec![self.peer, self.version, self.transport];
        cells.extend(self.cells.iter().map(|cell| match cell {
            Cell::Equal => "equal",
            Cell::Differs(difference) => difference.short,
            Cell::Wrong(_) => "wrong",
        }));
        cells.push(&self.release);
        format!("| {} |", cells.join(" | "))
    }
}

/// Holds rows, all there are of their peers, against the page; writes them into it where `make interop` asked
/// for that. Panics where a cell is wrong.
pub(crate) fn keep(section: Section, rows: &[Row]) {
    let wrong: Vec<String> = rows.iter().flat_map(complaints).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PATH);
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines = Section::ALL.map(|section| lines_of(&committed, section));
    let ran: BTreeSet<String> = rows.iter().map(Row::line).collect();
    let peers: BTreeSet<&str> = rows.iter().map(|row| row.peer).collect();
    let kept = &mut lines[section as usize];
    let of_them = |line: &String| peers.contains(cells(line)[0]);
    let there: BTreeSet<String> = kept.iter().filter(|line| of_them(line)).cloned().collect();
    if std::env::var_os("KIPFIX_WRITE_DOCS").is_some() {
        kept.retain(|line| !of_them(line));
        kept.extend(ran);
        std::fs::write(path, page(&lines)).unwrap();
        return;
    }
    let compared = |lines: &BTreeSet<String>| -> BTreeSet<String> {
        lines.iter().map(|line| without_release(line)).collect()
    };
    assert_eq!(
        compared(&there),
        compared(&ran),
        "{PATH} is not what was seen now: make interop"
    );
}

/// The page is what its rows make it: nobody wrote into it.
#[test]
fn docs_interop_is_made_of_its_rows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PATH);
    let committed = std::fs::read_to_string(path).unwrap();
    let lines = Section::ALL.map(|section| lines_of(&committed, section));
    assert!(lines.iter().all(|lines| !lines.is_empty()));
    assert!(
        committed == page(&lines),
        "{PATH} is not made of its rows: make interop"
    );
}

fn complaints(row: &Row) -> Vec<String> {
    let named = ["records", "octets", "packets", "sequence"]
        .into_iter()
        .zip(&row.cells);
    let wrong = named.filter_map(|(name, cell)| match cell {
        Cell::Wrong(what) => Some(format!(
            "{}, {} over {}: {name}: {what}",
            row.peer, row.version, row.transport
        )),
        Cell::Equal | Cell::Differs(_) => None,
    });
    wrong.collect()
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

fn without_release(line: &str) -> String {
    let cells = cells(line);
    cells[..cells.len() - 1].join(" | ")
}

/// The rows of a section in a page.
fn lines_of(page: &str, section: Section) -> BTreeSet<String> {
    let of_section = page
        .lines()
        .skip_while(|line| *line != section.heading())
        .skip(1);
    let until_next = of_section.take_while(|line| !line.starts_with("## "));
    let rows = until_next.filter(|line| line.starts_with("| "));
    rows.skip(1).map(str::to_owned).collect()
}

fn page(lines: &[BTreeSet<String>; 2]) -> String {
    let mut text = HEAD.to_owned();
    for (section, lines) in Section::ALL.into_iter().zip(lines) {
        text += &format!("\n{}\n\n{}\n\n", section.heading(), section.about());
        let first = section.first_column();
        text += &format!(
            "| {first} | version | transport | records | octets | packets | sequence | tried with |\n"
        );
        text += &format!("|{}\n", "---|".repeat(8));
        for line in lines {
            text += line;
            text += "\n";
        }
    }
    text += FOOT;
    let all: Vec<&str> = lines
        .iter()
        .flatten()
        .flat_map(|line| cells(line))
        .collect();
    for Difference { short, why } in DIFFERENCES {
        if all.contains(short) {
            text += &format!("* **{short}**: {why}\n");
        }
    }
    text
}
