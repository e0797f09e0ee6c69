-- Smart proxies: servers that hold what environments publish, too.

CREATE TABLE smart_proxies (
    id               INTEGER PRIMARY KEY AUTOINCREMENT, -- a number is never another proxy's
    name             TEXT    NOT NULL,
    name_key         TEXT    NOT NULL UNIQUE,
    kind             TEXT    NOT NULL CHECK (kind IN ('wharfinger', 'pulp', 'oci')),
    url              TEXT    NOT NULL,
    secret           TEXT,    -- of a wharfinger: what both sides show each other
    username         TEXT,    -- of the others
    password         TEXT,
    enabled          INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    concurrency      INTEGER NOT NULL CHECK (concurrency > 0), -- blobs at once
    bytes_per_second INTEGER CHECK (bytes_per_second > 0),     -- none: as fast as it goes
    created_at       INTEGER NOT NULL,
    failures         INTEGER NOT NULL DEFAULT 0, -- syncs in a row that did not bring all
    try_again_at     INTEGER, -- no sync begins by itself before
    error            TEXT,    -- of the last sync, if it did not bring all
    synced_at        INTEGER, -- when a sync has last brought all
    CHECK ((kind = 'wharfinger') = (secret IS NOT NULL)),
    CHECK ((username IS NULL) = (password IS NULL))
) STRICT;

CREATE TABLE smart_proxy_environments (
    proxy_id       INTEGER NOT NULL REFERENCES smart_proxies (id) ON DELETE CASCADE,
    environment_id INTEGER NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    PRIMARY KEY (proxy_id, environment_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX smart_proxy_environments_environment ON smart_proxy_environments (environment_id);

-- What a proxy has, as far as its last sync has told. Names no environment and no repository by key: what is there stays there
-- when those go, until it is removed.
CREATE TABLE smart_proxy_contents (
    proxy_id       INTEGER NOT NULL REFERENCES smart_proxies (id) ON DELETE CASCADE,
    environment_id INTEGER NOT NULL,
    repository_id  INTEGER NOT NULL,
    version        INTEGER,          -- that is there; none: nothing has come there yet
    names          TEXT    NOT NULL, -- by which it is pulled there, as a JSON array
    certain        INTEGER NOT NULL CHECK (certain IN (0, 1)), -- 0: the next sync looks whether it is so
    synced_at      INTEGER,
    plan_id        BLOB,             -- the last sync
    error          TEXT,             -- what it failed with
    PRIMARY KEY (proxy_id, environment_id, repository_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX smart_proxy_contents_repository ON smart_proxy_contents (repository_id);

-- What this server is: it serves its own, or is the smart proxy of another.
ALTER TABLE instance ADD COLUMN role TEXT NOT NULL DEFAULT 'main' CHECK (role IN ('main', 'proxy'));

-- Of a smart proxy: what it holds for its main server.
CREATE TABLE mirrored (
    environment_id INTEGER NOT NULL,
    repository_id  INTEGER NOT NULL,
    version        INTEGER NOT NULL, -- its number at the main server
    made_by        BLOB    NOT NULL, -- the plan that made it there: after a restore another version may have its number
    names          TEXT    NOT NULL, -- by which it is pulled here, as a JSON array
    synced_at      INTEGER NOT NULL,
    PRIMARY KEY (environment_id, repository_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX mirrored_repository ON mirrored (repository_id);

-- Of a smart proxy: blobs that are on their way to it, so that a fetch goes on where it was.
CREATE TABLE fetches (
    digest    TEXT NOT NULL PRIMARY KEY,
    upload_id BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Of a smart proxy: what its main server has told it, so that it serves on while that is down.
CREATE TABLE upstream (
    one         INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    main_server BLOB    NOT NULL, -- which: what is held is its, by its numbers
    told        TEXT              -- JSON: keys of tokens, the service, what is open to everybody; none: it does not count this proxy as its
) STRICT;

-- Of a smart proxy: tokens that its main server does not let count any more, until their time is over.
CREATE TABLE refused_tokens (
    sha256     BLOB    NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
