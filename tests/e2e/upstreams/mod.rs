//! Habits of providers and of POP3 programs, each with a transcript of what they say as far as that is known. docs/upstreams.md is the
//! list of them; `table` holds it to the tests that there are.

mod clients;
mod gmail;
mod microsoft;
mod others;
pub mod table;
mod yahoo;
