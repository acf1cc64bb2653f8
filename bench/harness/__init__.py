"""The driver of `make bench`: servers, mailboxes, measurements, tables. bench/README.md says how it is used."""
