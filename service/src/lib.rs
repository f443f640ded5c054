//! The parts of a daemon that `kipfix-probe` and `kipfix-collector` share. No packets and no flow
//! records here.
//!
//! In the order of a daemon's life:
//!
//! 1. [`exit`]: command line, exit codes, errors on stderr.
//! 2. [`settings`]: defaults < file < environment < flags, parsed to typed values.
//! 3. [`logs`]: one line per event on stderr, as text or JSON.
//! 4. [`signals`]: SIGTERM and SIGINT set a [`signals::Stop`] that threads and tasks wait for.
//! 5. [`bind`]: sockets that receive. [`admin`]: `/metrics`, `/livez`, `/readyz`. [`tls`]:
//!    certificates from files.
//! 6. [`registry`], [`metric_maker`], [`metric_table`]: self-metrics. [`exposition`]: the formats
//!    of `/metrics`.
//! 7. [`secret`]: files with a password or a token. [`sync`]: locks that ignore poisoning.
//!    [`file_stamp`]: detection of changed files.
//! 8. [`terminal`]: live tables.

pub mod admin;
pub mod bind;
mod client_verifier;
pub mod exit;
pub mod exposition;
pub mod file_stamp;
pub mod logs;
pub mod metric_maker;
pub mod metric_table;
mod refusal;
pub mod registry;
pub mod secret;
pub mod settings;
pub mod signals;
pub mod similar;
pub mod sync;
pub mod terminal;
pub mod tls;
pub mod tls_error;

// The macro `text_setting` names it, so that a crate that uses the macro need not depend on it.
#[doc(hidden)]
pub use serde;
