//! popbridge: a POP3 server in front of IMAP mailboxes.
//!
//! The binary is [`cli`] and a few lines; everything else lives here so that tests and fuzz targets can reach it. ARCHITECTURE.md
//! says which module may know which.

pub mod admin;
pub mod auth;
pub mod bridge;
pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod imap;
pub mod maildrop;
pub mod metrics;
pub mod oauth;
mod owner;
pub mod pem;
pub mod policy;
pub mod pop3;
pub mod run;
pub mod secret;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod trust;

/// The version with the commit that it was built from, such as `0.1.0 (0123456789ab)`; without a commit where none was known (build.rs).
pub const VERSION: &str = env!("POPBRIDGE_VERSION");
