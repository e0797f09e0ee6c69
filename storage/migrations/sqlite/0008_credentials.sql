-- What was got with a password ends when that is changed: tokens carry this number.
ALTER TABLE users ADD COLUMN password_changes INTEGER NOT NULL DEFAULT 0;

-- The audit is searched by actor whatever the case, as logins are found.
DROP INDEX audit_actor;
CREATE INDEX audit_actor ON audit (lower(actor), id);
