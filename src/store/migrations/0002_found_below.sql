-- What a client that was made known today finds at the first look after that may have come before: see policy::Enrolment.
ALTER TABLE client ADD COLUMN found_below BIGINT;

-- Whoever was made known before has been shown what was found; it stays so.
UPDATE client SET found_below = 1;
