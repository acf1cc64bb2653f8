//! What the tests stand on: real servers on free loopback ports, a scriptable IMAP peer for faults, odd mail, and strict
//! little clients. Blocking code on threads throughout: it must not share a runtime with what it tests, and it knows nothing
//! of popbridge but its command line, its log lines and its ports.

pub mod admin;
pub mod bridge;
pub mod browser;
pub mod certs;
pub mod chromium;
pub mod clock;
pub mod cyrus;
pub mod dovecot;
pub mod fake_folders;
pub mod fake_mailbox;
pub mod figures;
pub mod imap;
pub mod imap_peer;
pub mod jwt;
pub mod mail;
pub mod net;
pub mod oauth_crypto;
pub mod oauth_server;
pub mod oauth_world;
pub mod odd_mail;
pub mod office;
pub mod peer_conn;
pub mod peer_office;
pub mod phone;
pub mod pop3;
pub mod pop3_server;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod token_office;
pub mod tracer;
pub mod tree;
