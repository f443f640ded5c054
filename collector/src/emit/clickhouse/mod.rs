//! ClickHouse: inserts records into a table over HTTP.
//!
//! A request inserts one batch of rows in RowBinary, with a deduplication token. It is repeated
//! with the same token until the server has answered, so a batch whose answer was lost is not
//! stored twice (the table needs a window of tokens: `deploy/clickhouse/` sets it). The table has
//! to have the columns of [`schema::table_columns`](super::enriched::schema::table_columns), and
//! can have others.
//!
//! * `target`: the URL;
//! * `request`: requests and responses, without sockets;
//! * `inserter`: delivers the records of a chunk.

mod inserter;
mod request;
mod target;

pub use inserter::Inserter;
pub use target::ClickHouseTarget;
pub(super) use target::SYNTAX;
pub(crate) use target::{DEFAULT_PORT, DEFAULT_TLS_PORT, parse_name};
