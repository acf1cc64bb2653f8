-- How many of the instance wait there.
ALTER TABLE wanted ADD COLUMN waiting BIGINT NOT NULL DEFAULT 1;
