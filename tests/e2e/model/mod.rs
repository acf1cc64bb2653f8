//! The promises, checked on thousands of random stories: clients come and go, others change the mailbox over IMAP, the server has bad
//! days, bridges are restarted. A small model of the promises (`promises`) says what each client must be shown and which messages may,
//! and must, leave the folder.
//!
//! `POPBRIDGE_MODEL_SEEDS` is how many stories are told, `POPBRIDGE_MODEL_FIRST` the first one; `POPBRIDGE_MODEL_SEED` tells one again and
//! prints it. The bridge's own timing is not
//! repeated with it, so that one which depends on that may have to be told more than once.

mod batch;
mod dice;
mod ending;
mod fleet;
mod folder;
mod pop3_steps;
mod promises;
mod promises_tests;
mod restart;
mod story;
mod talk;
mod upstream;
mod world;

use batch::run;
use fleet::Fleet;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_story_keeps_the_promises() {
    run(Fleet::on_sqlite(), 2000, 200);
}

#[test]
fn every_story_keeps_the_promises_with_two_bridges_on_one_database() {
    run(Fleet::on_postgres(), 250, 50);
}
