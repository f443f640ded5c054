//! OpenSSL as a TLS server.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::certificates::Certificates;
use crate::program::{self, Running};

/// Accepts one connection with a client certificate and writes its data into a file. `more`:
/// arguments of `openssl s_server`.
///
/// # Panics
/// If it does not listen.
pub fn openssl(certificates: &Certificates, port: u16, more: &[&str], out: &Path) -> Running {
    let mut server = Command::new("openssl");
    server
        .args(["s_server", "-quiet", "-naccept", "1"])
        .args(more);
    server.arg("-accept").arg(port.to_string());
    server.args(["-Verify", "1", "-verify_return_error"]);
    for (flag, name) in [
        ("-cert", "server.crt"),
        ("-key", "server.key"),
        ("-CAfile", "ca.crt"),
    ] {
        server.arg(flag).arg(certificates.path(name));
    }
    server.stdout(File::create(out).expect("a file"));
    // It exits at the end of its standard input.
    server.stdin(Stdio::piped()).stderr(Stdio::null());
    let running = Running::start(&mut server);
    program::wait_for_tcp(running.pid(), port);
    running
}
