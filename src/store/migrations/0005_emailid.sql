-- A digest of the message's EMAILID (RFC 8474), where the server has it: what it is known by when its UID means nothing any more.
ALTER TABLE message ADD COLUMN email_id BIGINT;
