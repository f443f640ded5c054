//! What `kipfix-probe` and `kipfix-collector` do alike, so that both behave alike for who runs them.
//! Nothing here touches a packet or a flow record.
//!
//! In the order of a daemon's life:
//!
//! 1. [`exit`]: command line in, exit code out, one sentence on stderr where something is wrong.
//! 2. [`settings`]: defaults < file < environment < flags, parsed to real types.
//! 3. [`logs`]: one line an event on stderr, as text or JSON.
//! 4. [`signals`]: SIGTERM and SIGINT become a [`signals::Stop`] that threads and tasks wait for.
//! 5. [`admin`]: `/metrics`, `/livez`, `/readyz`.
//! 6. [`registry`]: the self-metrics; [`exposition`]: what `/metrics` is written in.

pub mod admin;
pub mod exit;
pub mod exposition;
pub mod logs;
pub mod registry;
pub mod settings;
pub mod signals;
