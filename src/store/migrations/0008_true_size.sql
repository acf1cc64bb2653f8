-- How long a message turned out to be when it was read (octets), where the upstream lists another size (listed). It counts as long as
-- that size is listed. A table of its own, because most upstreams list true sizes: there it stays empty.
CREATE TABLE measured (
    mailbox_id BIGINT NOT NULL REFERENCES mailbox (id),
    seq        BIGINT NOT NULL,
    listed     BIGINT NOT NULL,
    octets     BIGINT NOT NULL,
    PRIMARY KEY (mailbox_id, seq)
){clustered};
