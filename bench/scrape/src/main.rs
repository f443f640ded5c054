//! Serves series like those of kipfix-collector by a metric library, for the scrape benchmark:
//! `kipfix-bench-scrape LIBRARY WORKLOADS` counts traffic between every pair of workloads in three
//! counters, prints its port, and answers every request with all series, with gzip if accepted.

mod libraries;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use anyhow::{Result, bail};
use flate2::Compression;
use flate2::read::GzEncoder;

use crate::libraries::{Pair, Render};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, workloads] = arguments.as_slice() else {
        bail!("usage: kipfix-bench-scrape prometheus|prometheus-client|metrics WORKLOADS");
    };
    let pairs = pairs(workloads.parse()?);
    let render: Render = match library.as_str() {
        "prometheus" => libraries::prometheus(pairs)?,
        "prometheus-client" => libraries::prometheus_client(pairs),
        "metrics" => libraries::metrics(pairs),
        _ => bail!("invalid library \"{library}\""),
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    for connection in listener.incoming() {
        answer(connection?, &render)?;
    }
    Ok(())
}

/// Every pair of workloads, with the label values that kipfix-collector has for them.
fn pairs(workloads: u32) -> impl Iterator<Item = Pair> {
    (0..workloads).flat_map(move |source| {
        (0..workloads).map(move |destination| Pair::new(source, destination))
    })
}

fn answer(mut connection: TcpStream, render: &Render) -> Result<()> {
    let mut accepts_gzip = false;
    for line in BufReader::new(&connection).lines() {
        let line = line?.to_ascii_lowercase();
        accepts_gzip |= line.starts_with("accept-encoding:") && line.contains("gzip");
        if line.is_empty() {
            break;
        }
    }
    let mut body = render();
    let mut encoding = "";
    if accepts_gzip {
        let mut compressed = Vec::with_capacity(body.len() / 8);
        // As fast as kipfix-collector compresses.
        GzEncoder::new(body.as_slice(), Compression::fast()).read_to_end(&mut compressed)?;
        body = compressed;
        encoding = "Content-Encoding: gzip\r\n";
    }
    let length = body.len();
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{encoding}Connection: close\r\n\r\n"
    )?;
    connection.write_all(&body)?;
    Ok(())
}
