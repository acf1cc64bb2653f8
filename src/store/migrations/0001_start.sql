-- The first schema. One text for both engines; what stands between { and } is explained, and replaced, in src/store/migrate.rs.
-- Times are seconds since 1970, yes and no are 1 and 0 (the one spelling of them that both engines and sqlx agree on).

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- What state is keyed by: one log-in on one upstream. Its version grows with every change of its registers.
CREATE TABLE mailbox (
    id              {id},
    upstream        TEXT NOT NULL,
    login           TEXT NOT NULL,
    version         BIGINT NOT NULL DEFAULT 1,
    next_seq        BIGINT NOT NULL DEFAULT 1,
    next_folder     BIGINT NOT NULL DEFAULT 1,
    created_at      BIGINT NOT NULL,
    stopped_take    BIGINT,
    stopped_of      BIGINT,
    stopped_at      BIGINT,
    sweep_confirmed BIGINT NOT NULL DEFAULT 0,
    turn_holder     TEXT NOT NULL DEFAULT '',
    turn_until      BIGINT NOT NULL DEFAULT 0,
    UNIQUE (upstream, login)
);

-- uid_validity and first_listed are NULL until the folder has been listed.
CREATE TABLE folder (
    id             {id},
    mailbox_id     BIGINT NOT NULL REFERENCES mailbox (id),
    name           TEXT NOT NULL,
    role           TEXT NOT NULL,
    number         BIGINT NOT NULL,
    uid_validity   BIGINT,
    uid_next       BIGINT,
    highest_modseq BIGINT,
    format         TEXT,
    first_listed   BIGINT,
    UNIQUE (mailbox_id, name),
    UNIQUE (mailbox_id, number)
);

CREATE TABLE floor (
    folder_id    BIGINT NOT NULL REFERENCES folder (id),
    uid_validity BIGINT NOT NULL,
    below        BIGINT NOT NULL,
    PRIMARY KEY (folder_id, uid_validity)
){clustered};

-- uidl is NULL where the folder's format gives it. uid_validity is set of messages that are gone only: the others have their folder's.
CREATE TABLE message (
    folder_id     BIGINT NOT NULL REFERENCES folder (id),
    seq           BIGINT NOT NULL,
    uid           BIGINT NOT NULL,
    size          BIGINT NOT NULL,
    internal_date BIGINT NOT NULL,
    first_seen    BIGINT NOT NULL,
    gm_msgid      BIGINT,
    header_hash   BIGINT,
    uidl          TEXT,
    uid_validity  BIGINT,
    gone_at       BIGINT,
    disposed      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (folder_id, seq)
){clustered};

CREATE TABLE client (
    id            {id},
    mailbox_id    BIGINT NOT NULL REFERENCES mailbox (id),
    login         TEXT NOT NULL,
    name          TEXT NOT NULL,
    named         BIGINT NOT NULL,
    account       TEXT,
    password      TEXT,
    settings      TEXT NOT NULL,
    enrolled_at   BIGINT NOT NULL,
    reset_at      BIGINT,
    removed_at    BIGINT,
    last_seen     BIGINT,
    version       BIGINT NOT NULL DEFAULT 1,
    losses_before BIGINT NOT NULL DEFAULT 0
);
-- The log-in of a removed client can be given again.
CREATE UNIQUE INDEX client_login ON client (login) WHERE removed_at IS NULL;
CREATE INDEX client_mailbox ON client (mailbox_id);

-- One row for each range of numbers that a client marked at one time; kinds are in src/store/marks.rs.
CREATE TABLE mark (
    client_id BIGINT NOT NULL REFERENCES client (id),
    kind      BIGINT NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq  BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (client_id, kind, first_seq)
){clustered};

CREATE TABLE trouble (
    mailbox_id BIGINT NOT NULL REFERENCES mailbox (id),
    seq        BIGINT NOT NULL,
    failures   BIGINT NOT NULL,
    last_error TEXT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (mailbox_id, seq)
){clustered};

-- Who has a client's maildrop open; used where several instances share the database. The epoch grows with every taking.
CREATE TABLE lease (
    client_id   BIGINT NOT NULL PRIMARY KEY REFERENCES client (id),
    holder      TEXT NOT NULL,
    epoch       BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    progress_at BIGINT NOT NULL
);

-- What is to be done to a message upstream, written down before it is done.
CREATE TABLE intent (
    id            {id},
    mailbox_id    BIGINT NOT NULL REFERENCES mailbox (id),
    folder_id     BIGINT NOT NULL REFERENCES folder (id),
    seq           BIGINT NOT NULL,
    action        TEXT NOT NULL,
    uid_validity  BIGINT NOT NULL,
    uid           BIGINT NOT NULL,
    size          BIGINT NOT NULL,
    internal_date BIGINT NOT NULL,
    gm_msgid      BIGINT,
    cause         TEXT NOT NULL,
    state         TEXT NOT NULL,
    attempts      BIGINT NOT NULL DEFAULT 0,
    last_error    TEXT,
    created_at    BIGINT NOT NULL,
    tried_at      BIGINT,
    UNIQUE (mailbox_id, folder_id, seq, action)
);
CREATE INDEX intent_open ON intent (mailbox_id) WHERE state IN ('pending', 'failed');
