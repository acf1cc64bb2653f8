-- How many connections to a mailbox an instance has that last for as long as a client likes. It says so while somebody waits for one.
CREATE TABLE lasting (
    mailbox     TEXT NOT NULL,
    holder      TEXT NOT NULL,
    connections BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (mailbox, holder)
){clustered};
