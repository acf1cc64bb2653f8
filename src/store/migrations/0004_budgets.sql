-- What came from the upstream for a mailbox, by the hour: hours since 1970, octets.
CREATE TABLE traffic (
    mailbox_id BIGINT NOT NULL REFERENCES mailbox (id),
    hour       BIGINT NOT NULL,
    bytes      BIGINT NOT NULL,
    PRIMARY KEY (mailbox_id, hour)
){clustered};

-- The rest is used where several instances share the database.
--
-- Bridges that are alive, by the database's clock.
CREATE TABLE instance (
    holder     TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
){clustered};

-- Their connections to upstreams. One of an instance that is not alive is none.
CREATE TABLE connection (
    holder  TEXT NOT NULL,
    number  BIGINT NOT NULL,
    mailbox TEXT NOT NULL,
    host    TEXT NOT NULL,
    PRIMARY KEY (holder, number)
){clustered};
CREATE INDEX connection_mailbox ON connection (mailbox);
CREATE INDEX connection_host ON connection (host);

-- Mailboxes and hosts at which somebody waits for another's connection to end.
CREATE TABLE wanted (
    place      TEXT NOT NULL,
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (place, holder)
){clustered};

-- When the next log-in at a host may begin, in milliseconds since 1970.
CREATE TABLE login_pace (
    host    TEXT NOT NULL PRIMARY KEY,
    next_at BIGINT NOT NULL
){clustered};
