//! The end-to-end tests, in one crate so that they link once.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test crate: nobody imports it, and a panic is how a test fails"
)]

#[allow(dead_code, reason = "a tool box: not every tool is used at every time")]
#[path = "../support/mod.rs"]
mod support;

mod activation;
mod ahead;
mod ahead_trouble;
mod architecture;
mod archive;
mod backoff;
mod bad_days;
mod bad_input;
mod basics;
mod blame;
mod budgets;
mod budgets_shared;
mod client_command;
mod client_passwords;
mod client_state;
mod clients;
mod command_line;
mod cyrus;
mod database_access;
mod disposal;
mod disposal_flag;
mod disposal_portions;
mod disposal_trouble;
mod fail2ban;
mod gauges;
mod gmail_folders;
mod guessing;
mod hold;
mod hold_refused;
mod hold_shared;
mod hostile_body;
mod hostile_cut;
mod hostile_login;
mod hostile_login_secrets;
mod hostile_size;
mod hostile_top;
mod hostile_upstream;
mod kept;
mod kill9;
mod lifecycle;
mod limits;
mod listing;
mod listing_doubt;
mod listing_qresync;
mod locks;
mod log_in;
mod logs;
mod many;
mod memory;
mod metrics_table;
mod model;
mod moved_upstream;
mod oauth;
mod oauth_check;
mod oauth_device;
mod oauth_discovery;
mod oauth_grants;
mod oauth_login;
mod oauth_trouble;
mod objectid;
mod oracle;
mod oracle_stream;
mod oracle_talk;
mod packaging;
mod pages;
mod patience;
mod peer_selftest;
mod prometheus;
mod provider;
mod proxy_protocol;
mod quota;
mod recipes;
mod recognized;
mod reload;
mod renamed_folders;
mod response_codes;
mod retention;
mod retention_after_retrieve;
mod selftest;
mod shared;
mod shared_figures;
mod starttls;
mod status_browser;
mod status_page;
mod systemd;
mod together;
mod token_clients;
mod token_status;
mod traffic;
mod true_size;
mod uidonly;
mod unreadable;
mod unreadable_kept;
mod upstream_log_in;
mod upstream_side;
mod upstreams;
mod utf8;
