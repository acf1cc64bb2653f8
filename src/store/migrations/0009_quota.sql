-- How full a mailbox is, as its upstream has said when it was last asked: octets. No row where it does not say. A table of its own, because
-- nothing that it holds changes what clients are shown.
CREATE TABLE quota (
    mailbox_id BIGINT NOT NULL PRIMARY KEY REFERENCES mailbox (id),
    used       BIGINT NOT NULL,
    most       BIGINT NOT NULL,
    at         BIGINT NOT NULL
){clustered};
