//! Live tables in a terminal, for `top` of both daemons.
//!
//! A [`Browser`] holds what the user has chosen: view, order, filter, position. [`Table::lines`]
//! draws rows for it. [`Terminal`] shows the lines and reads keys; it restores the terminal when it
//! is dropped.

mod browser;
mod keys;
mod table;
mod tty;
mod units;

pub use browser::{Action, Browser};
pub use keys::Key;
pub use table::{Cell, Column, Table};
pub use tty::Terminal;
pub use units::{bytes, decimal, time};
