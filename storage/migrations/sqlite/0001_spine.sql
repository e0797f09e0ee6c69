-- Times are milliseconds since 1970 in UTC. Plan, node and upload ids are 16-byte UUIDs.
-- Every label that is unique without case has its lower-case form beside it, in `…_key`.

-- The engine. `journal` is the state; the other tables are what must be found without folding it.

CREATE TABLE node (
    id          BLOB    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    version     TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    beat_at     INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('running', 'stopped'))
) STRICT;

CREATE TABLE plan (
    id           BLOB    NOT NULL PRIMARY KEY,
    workflow     TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('scheduled', 'pending', 'running', 'paused', 'stopped')),
    result       TEXT    NOT NULL CHECK (result IN ('pending', 'success', 'warning', 'error', 'cancelled', 'reverted')),
    reason       TEXT    CHECK (reason IN ('error', 'compensation_error', 'interrupted', 'poison', 'operator', 'superseded')),
    organization TEXT,
    actor        TEXT,
    owner        BLOB,
    open_key     TEXT,
    created_at   INTEGER NOT NULL,
    started_at   INTEGER,
    ended_at     INTEGER,
    paused_at    INTEGER,
    CHECK (state <> 'stopped' OR (open_key IS NULL AND owner IS NULL AND ended_at IS NOT NULL)),
    CHECK (state <> 'paused' OR (paused_at IS NOT NULL AND owner IS NULL))
) STRICT;
CREATE UNIQUE INDEX plan_open_key ON plan (open_key) WHERE open_key IS NOT NULL;
CREATE INDEX plan_open ON plan (id) WHERE state <> 'stopped';
CREATE INDEX plan_workflow ON plan (workflow, id);
CREATE INDEX plan_state ON plan (state, id);

-- One append is one row; its key is the fence. A rowid on purpose: without one, whole rows lie in the key's tree.
CREATE TABLE journal (
    plan_id BLOB    NOT NULL,
    seq     INTEGER NOT NULL,
    nonce   INTEGER NOT NULL,
    node    BLOB    NOT NULL,
    at      INTEGER NOT NULL,
    entries TEXT    NOT NULL,
    PRIMARY KEY (plan_id, seq)
) STRICT;

CREATE TABLE mailbox (
    n       INTEGER PRIMARY KEY AUTOINCREMENT,
    plan_id BLOB    NOT NULL REFERENCES plan (id),
    at      INTEGER NOT NULL,
    message TEXT    NOT NULL
) STRICT;
CREATE INDEX mailbox_plan ON mailbox (plan_id, n);

-- Who holds and who waits is computed: the holders are the rows that no earlier row of their resource excludes.
CREATE TABLE lock (
    n        INTEGER PRIMARY KEY AUTOINCREMENT,
    resource TEXT    NOT NULL,
    mode     TEXT    NOT NULL CHECK (mode IN ('exclusive', 'shared')),
    plan_id  BLOB    NOT NULL REFERENCES plan (id),
    since    INTEGER NOT NULL,
    UNIQUE (resource, plan_id)
) STRICT;
CREATE INDEX lock_plan ON lock (plan_id);
CREATE INDEX lock_resource ON lock (resource, n);

-- What a plan is about, for search: `repository = acme/busybox`.
CREATE TABLE plan_link (
    plan_id BLOB NOT NULL REFERENCES plan (id),
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (name, value, plan_id)
) STRICT;
CREATE INDEX plan_link_plan ON plan_link (plan_id);

CREATE TABLE drill (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow      TEXT    NOT NULL,
    step          TEXT    NOT NULL,
    repository    TEXT,
    tag           TEXT,
    effect        TEXT    NOT NULL CHECK (effect IN ('fail', 'fail_transient', 'crash', 'stall')),
    crash_when    TEXT    NOT NULL CHECK (crash_when IN ('before', 'after')),
    times_left    INTEGER CHECK (times_left >= 0),
    stall_seconds INTEGER NOT NULL,
    created_by    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;

-- The house this database belongs to: `content_dir` holds the same id.

CREATE TABLE instance (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id         BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Who may do what.

CREATE TABLE users (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    login         TEXT    NOT NULL,
    login_key     TEXT    NOT NULL UNIQUE,
    name          TEXT    NOT NULL,
    email         TEXT,
    password_hash TEXT    NOT NULL,
    enabled       INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE signing_keys (
    id          TEXT    NOT NULL PRIMARY KEY,
    private_key BLOB    NOT NULL,
    public_key  BLOB    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

-- Organizations, products, environments.

CREATE TABLE organizations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    label      TEXT    NOT NULL,
    label_key  TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE environments (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL REFERENCES organizations (id),
    label           TEXT    NOT NULL,
    label_key       TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    prior_id        INTEGER REFERENCES environments (id), -- none: Library
    UNIQUE (organization_id, label_key)
) STRICT;

CREATE TABLE products (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL REFERENCES organizations (id),
    label           TEXT    NOT NULL,
    label_key       TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    created_by_plan BLOB,
    created_at      INTEGER NOT NULL,
    UNIQUE (organization_id, label_key)
) STRICT;

-- Plans that rely on a product, so that nobody's undo removes it under them.
CREATE TABLE product_uses (
    product_id INTEGER NOT NULL REFERENCES products (id),
    plan_id    BLOB    NOT NULL,
    PRIMARY KEY (product_id, plan_id)
) STRICT;

CREATE TABLE grants (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id         INTEGER NOT NULL REFERENCES users (id),
    role            TEXT    NOT NULL,
    organization_id INTEGER REFERENCES organizations (id),
    product_id      INTEGER REFERENCES products (id),
    repository_id   INTEGER,
    created_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX grants_user ON grants (user_id);

-- A destination is where pushes to one name go. Its id is the id of the repository that `ensure_repository` makes.
CREATE TABLE destinations (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL REFERENCES organizations (id),
    product_label   TEXT    NOT NULL,
    product_key     TEXT    NOT NULL,
    name            TEXT    NOT NULL, -- lower case, as OCI wants it; may hold slashes
    created_at      INTEGER NOT NULL,
    retired_at      INTEGER
) STRICT;
CREATE UNIQUE INDEX destinations_live ON destinations (organization_id, product_key, name) WHERE retired_at IS NULL;

CREATE TABLE repositories (
    id              INTEGER PRIMARY KEY REFERENCES destinations (id),
    product_id      INTEGER NOT NULL REFERENCES products (id),
    name            TEXT    NOT NULL,
    label           TEXT    NOT NULL,
    created_by_plan BLOB,
    created_at      INTEGER NOT NULL,
    UNIQUE (product_id, name)
) STRICT;

-- Versions are intervals: what is in version n has added <= n and (removed is null or removed > n).
CREATE TABLE versions (
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    number        INTEGER NOT NULL CHECK (number >= 1),
    plan_id       BLOB    NOT NULL,
    backend_version INTEGER NOT NULL,
    cause         TEXT    NOT NULL CHECK (cause IN ('push', 'delete', 'rollback', 'retention')),
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (repository_id, number),
    UNIQUE (repository_id, plan_id)
) STRICT;

CREATE TABLE content_in (
    repository_id INTEGER NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('tag', 'manifest')),
    name          TEXT    NOT NULL, -- of a manifest: its digest
    digest        TEXT    NOT NULL,
    added         INTEGER NOT NULL,
    removed       INTEGER,
    PRIMARY KEY (repository_id, kind, name, added)
) STRICT;
CREATE INDEX content_in_digest ON content_in (digest);

CREATE TABLE published (
    environment_id INTEGER NOT NULL REFERENCES environments (id),
    repository_id  INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    plan_id        BLOB    NOT NULL,
    published_by   TEXT    NOT NULL,
    since          INTEGER NOT NULL,
    PRIMARY KEY (environment_id, repository_id),
    FOREIGN KEY (repository_id, version) REFERENCES versions (repository_id, number)
) STRICT;
CREATE INDEX published_repository ON published (repository_id, version);

-- Manifests: the bytes as they came, once per digest.
CREATE TABLE manifests (
    digest        TEXT    NOT NULL PRIMARY KEY,
    media_type    TEXT    NOT NULL,
    artifact_type TEXT,
    subject       TEXT,
    annotations   TEXT    NOT NULL, -- a JSON object
    size_bytes    INTEGER NOT NULL,
    bytes         BLOB    NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;

-- What a manifest consists of: layers and config (blob), children of an index (manifest).
CREATE TABLE manifest_parts (
    manifest   TEXT    NOT NULL REFERENCES manifests (digest),
    position   INTEGER NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('config', 'layer', 'manifest')),
    digest     TEXT    NOT NULL,
    media_type TEXT    NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (manifest, position)
) STRICT;
CREATE INDEX manifest_parts_digest ON manifest_parts (digest);

-- What `reindex` read out of a manifest and its config, for people.
CREATE TABLE images (
    digest     TEXT    NOT NULL PRIMARY KEY REFERENCES manifests (digest),
    kind       TEXT    NOT NULL CHECK (kind IN ('image', 'index', 'artifact')),
    platforms  TEXT    NOT NULL, -- a JSON array of "os/architecture[/variant]"
    labels     TEXT    NOT NULL, -- a JSON object
    created    TEXT,
    size_bytes INTEGER NOT NULL, -- the manifest and all it consists of
    warning    TEXT
) STRICT;

-- The push repository of a destination by digest: readable at once, filed into a version by the plan named here.
CREATE TABLE pushed_manifests (
    destination_id INTEGER NOT NULL REFERENCES destinations (id),
    digest         TEXT    NOT NULL REFERENCES manifests (digest),
    pushed_by      INTEGER NOT NULL REFERENCES users (id),
    pushed_at      INTEGER NOT NULL,
    filed_by_plan  BLOB, -- none: pending
    PRIMARY KEY (destination_id, digest)
) STRICT;
CREATE INDEX pushed_manifests_pending ON pushed_manifests (destination_id) WHERE filed_by_plan IS NULL;
CREATE INDEX pushed_manifests_digest ON pushed_manifests (digest);

-- The embedded content backend.

CREATE TABLE blobs (
    digest     TEXT    NOT NULL PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    object     TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE blob_links (
    destination_id INTEGER NOT NULL REFERENCES destinations (id),
    digest         TEXT    NOT NULL REFERENCES blobs (digest),
    since          INTEGER NOT NULL,
    PRIMARY KEY (destination_id, digest)
) STRICT;
CREATE INDEX blob_links_digest ON blob_links (digest);

CREATE TABLE uploads (
    id             BLOB    NOT NULL PRIMARY KEY,
    destination_id INTEGER NOT NULL REFERENCES destinations (id),
    user_id        INTEGER NOT NULL REFERENCES users (id),
    object         TEXT    NOT NULL UNIQUE, -- named before the first byte
    size_bytes     INTEGER NOT NULL, -- durable so far
    hash_state     BLOB    NOT NULL, -- SHA-256 after size_bytes bytes, with the form's version in front
    object_state   TEXT    NOT NULL, -- what the object store needs to go on, as JSON
    created_at     INTEGER NOT NULL,
    touched_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_destination ON uploads (destination_id);

CREATE TABLE embedded_push_tags (
    destination_id INTEGER NOT NULL REFERENCES destinations (id),
    tag            TEXT    NOT NULL,
    digest         TEXT    NOT NULL,
    PRIMARY KEY (destination_id, tag)
) STRICT;

CREATE TABLE embedded_push_manifests (
    destination_id INTEGER NOT NULL REFERENCES destinations (id),
    digest         TEXT    NOT NULL REFERENCES manifests (digest),
    PRIMARY KEY (destination_id, digest)
) STRICT;

CREATE TABLE embedded_versions (
    destination_id INTEGER NOT NULL REFERENCES destinations (id),
    number         INTEGER NOT NULL,
    plan_id        BLOB    NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (destination_id, number),
    UNIQUE (destination_id, plan_id)
) STRICT;

CREATE TABLE embedded_content (
    destination_id INTEGER NOT NULL,
    kind           TEXT    NOT NULL CHECK (kind IN ('tag', 'manifest')),
    name           TEXT    NOT NULL,
    digest         TEXT    NOT NULL,
    added          INTEGER NOT NULL,
    removed        INTEGER,
    PRIMARY KEY (destination_id, kind, name, added)
) STRICT;
