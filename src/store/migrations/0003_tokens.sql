-- The tokens of a mailbox from one provider. sealed is opened with a key that is not here; NULL until there are tokens. Its version grows
-- with each new sealed; times are by the database's clock, as several instances compare them.
CREATE TABLE token (
    mailbox_id    BIGINT NOT NULL REFERENCES mailbox (id),
    provider      TEXT NOT NULL,
    sealed        TEXT,
    version       BIGINT NOT NULL DEFAULT 0,
    state         TEXT NOT NULL,
    refreshed_at  BIGINT NOT NULL DEFAULT 0,
    expires_at    BIGINT NOT NULL DEFAULT 0,
    last_error    TEXT,
    error_at      BIGINT,
    retry_at      BIGINT NOT NULL DEFAULT 0,
    attempts      BIGINT NOT NULL DEFAULT 0,
    holder        TEXT NOT NULL DEFAULT '',
    claimed_until BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (mailbox_id, provider)
){clustered};
