-- What happens to an image after its push: deletes that can be taken back, environments, names by pattern.

-- What was deleted from a destination and lies in a version that can be brought back. Pushed again, it is there again.
ALTER TABLE pushed_manifests ADD COLUMN deleted_at INTEGER;
ALTER TABLE blob_links ADD COLUMN deleted_at INTEGER;
CREATE INDEX pushed_manifests_deleted ON pushed_manifests (destination_id) WHERE deleted_at IS NOT NULL;
CREATE INDEX blob_links_deleted ON blob_links (destination_id) WHERE deleted_at IS NOT NULL;
DROP INDEX pushed_manifests_pending;
CREATE INDEX pushed_manifests_pending ON pushed_manifests (destination_id)
    WHERE filed_by_plan IS NULL AND deleted_at IS NULL;

-- How an environment names what it publishes (none: by labels), and whether it is pulled from without a login.
ALTER TABLE environments ADD COLUMN registry_name_pattern TEXT;
ALTER TABLE environments ADD COLUMN anonymous_pull INTEGER NOT NULL DEFAULT 0 CHECK (anonymous_pull IN (0, 1));
ALTER TABLE environments ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
UPDATE environments SET created_at = (SELECT o.created_at FROM organizations o WHERE o.id = organization_id);
CREATE INDEX environments_prior ON environments (prior_id) WHERE prior_id IS NOT NULL;

-- The environment whose published version is pulled by this name; none: the pushed path, which shows what Library publishes.
ALTER TABLE repository_names ADD COLUMN environment_id INTEGER REFERENCES environments (id);
CREATE INDEX repository_names_environment ON repository_names (environment_id) WHERE environment_id IS NOT NULL;

-- Tags that cannot be moved once they are pushed: globs, as a JSON array.
ALTER TABLE products ADD COLUMN immutable_tags TEXT NOT NULL DEFAULT '[]';

-- A deleted repository keeps its rows under a name that nobody can push, until it is collected or brought back.
ALTER TABLE repositories ADD COLUMN deleted_at INTEGER;
-- What a plan has deleted of a destination, and what a revert of that plan brings back before it is collected.
CREATE TABLE tombstones (
    destination_id INTEGER NOT NULL REFERENCES destinations (id),
    part           TEXT    NOT NULL CHECK (part IN ('container_repository', 'push_repository', 'catalog')),
    plan_id        BLOB    NOT NULL,
    since          INTEGER NOT NULL,
    collecting     INTEGER NOT NULL DEFAULT 0 CHECK (collecting IN (0, 1)), -- 1: too late
    PRIMARY KEY (destination_id, part)
) STRICT;
CREATE INDEX tombstones_since ON tombstones (since);

-- Garbage. When a blob was pushed, mounted or asked for last: for a while after that it is kept for who was told that it is here.
ALTER TABLE blobs ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
UPDATE blobs SET used_at = unixepoch() * 1000; -- who was told just before this counts, too
-- Objects whose rows are gone, until their bytes are. Nobody brings one back: the same bytes pushed again are a new object.
CREATE TABLE doomed (
    object TEXT    NOT NULL PRIMARY KEY,
    since  INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_touched ON uploads (touched_at);
CREATE INDEX versions_backend ON versions (repository_id, backend_version);
-- Without these, whoever deletes a manifest or a destination looks through whole tables for who still names it.
CREATE INDEX embedded_push_manifests_digest ON embedded_push_manifests (digest);
CREATE INDEX pulp_odd_manifests_digest ON pulp_odd_manifests (digest);
CREATE INDEX grants_repository ON grants (repository_id) WHERE repository_id IS NOT NULL;
CREATE INDEX pulp_spool_destination ON pulp_spool (destination_id);
-- Under which name the revert of a delete is to bring a repository back, where that is not its old one.
CREATE TABLE restores (
    plan_id BLOB NOT NULL PRIMARY KEY REFERENCES plan (id) ON DELETE CASCADE,
    name    TEXT NOT NULL
) STRICT;

-- What Pulp has made for a first push, by its href, as long as everybody who reaches Pulp can pull from it.
ALTER TABLE pulp_repositories ADD COLUMN open_distribution TEXT;
CREATE INDEX pulp_repositories_open ON pulp_repositories (destination_id) WHERE open_distribution IS NOT NULL;
-- How far a plan has come that reads blobs again, and what it has found. Both go with it.
CREATE TABLE verify_cursor (
    plan_id BLOB NOT NULL PRIMARY KEY REFERENCES plan (id) ON DELETE CASCADE,
    after   TEXT NOT NULL -- the digest of the last blob that it has read
) STRICT;
CREATE TABLE damaged_blobs (
    plan_id    BLOB    NOT NULL REFERENCES plan (id) ON DELETE CASCADE,
    digest     TEXT    NOT NULL,
    size_bytes INTEGER NOT NULL,
    what       TEXT    NOT NULL,
    PRIMARY KEY (plan_id, digest)
) STRICT, WITHOUT ROWID;
