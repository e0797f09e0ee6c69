-- Access, beyond users with a password and the built-in roles.

-- A robot is a user without a password that belongs to an organization.
ALTER TABLE users ADD COLUMN robot_of INTEGER REFERENCES organizations (id);
-- A deleted user keeps the row, because pushes name it, and the login, so that nobody inherits tasks by a name.
ALTER TABLE users ADD COLUMN deleted_at INTEGER;
CREATE INDEX users_robot_of ON users (robot_of) WHERE robot_of IS NOT NULL;

-- Personal tokens, and the one token of each robot.
CREATE TABLE tokens (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id       INTEGER NOT NULL REFERENCES users (id),
    name          TEXT    NOT NULL,
    secret_sha256 BLOB    NOT NULL UNIQUE, -- of at least 160 random bits: needs no slow hash
    scope         TEXT, -- a JSON array of permissions; none: whatever its user may
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    last_used_at  INTEGER, -- written at most once a minute
    UNIQUE (user_id, name)
) STRICT;

-- Roles of one's own; the built-in ones are code.
CREATE TABLE roles (
    name        TEXT    NOT NULL PRIMARY KEY,
    permissions TEXT    NOT NULL, -- a JSON array
    created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX grants_role ON grants (role);

ALTER TABLE products ADD COLUMN anonymous_pull INTEGER NOT NULL DEFAULT 0 CHECK (anonymous_pull IN (0, 1));

-- What was set; a setting without a row has its default.
CREATE TABLE settings (
    name       TEXT    NOT NULL PRIMARY KEY,
    value      TEXT    NOT NULL, -- JSON
    changed_by TEXT    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

-- Who changed what, and who was refused. Rows are added, and never changed or removed.
CREATE TABLE audit (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    actor        TEXT    NOT NULL, -- a login; empty: anonymous
    action       TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    from_address TEXT,
    result       TEXT    NOT NULL CHECK (result IN ('done', 'refused')),
    task         BLOB,
    reason       TEXT
) STRICT;
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_action ON audit (action, id);
CREATE INDEX audit_subject ON audit (subject, id);
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
