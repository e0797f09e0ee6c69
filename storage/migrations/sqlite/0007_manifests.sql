-- What a manifest is, and what was read of it, belongs to the repository that it was pushed to: the same bytes mean
-- something else under another media type, and nobody decides that for others. Only the bytes are kept once.

CREATE TABLE pushed_manifests_new (
    id             INTEGER PRIMARY KEY,
    destination_id INTEGER NOT NULL REFERENCES destinations (id),
    digest         TEXT    NOT NULL REFERENCES manifests (digest),
    media_type     TEXT    NOT NULL,
    artifact_type  TEXT,
    subject        TEXT,
    annotations    TEXT    NOT NULL, -- a JSON object
    pushed_by      INTEGER NOT NULL REFERENCES users (id),
    pushed_at      INTEGER NOT NULL,
    filed_by_plan  BLOB, -- none: pending
    UNIQUE (destination_id, digest)
) STRICT;
INSERT INTO pushed_manifests_new (destination_id, digest, media_type, artifact_type, subject, annotations,
    pushed_by, pushed_at, filed_by_plan)
SELECT p.destination_id, p.digest, m.media_type, m.artifact_type, m.subject, m.annotations,
    p.pushed_by, p.pushed_at, p.filed_by_plan
FROM pushed_manifests p JOIN manifests m ON m.digest = p.digest;
DROP TABLE pushed_manifests;
ALTER TABLE pushed_manifests_new RENAME TO pushed_manifests;
CREATE INDEX pushed_manifests_pending ON pushed_manifests (destination_id) WHERE filed_by_plan IS NULL;
CREATE INDEX pushed_manifests_digest ON pushed_manifests (digest);
CREATE INDEX pushed_manifests_subject ON pushed_manifests (destination_id, subject, digest)
    WHERE subject IS NOT NULL;

-- What it consists of and must be here, each once: layers and config (blob), children of an index (manifest).
CREATE TABLE manifest_parts_new (
    pushed_id      INTEGER NOT NULL REFERENCES pushed_manifests (id),
    position       INTEGER NOT NULL,
    destination_id INTEGER NOT NULL, -- that of the manifest, so that the index below is read and written in one place
    kind           TEXT    NOT NULL CHECK (kind IN ('config', 'layer', 'manifest')),
    digest         TEXT    NOT NULL,
    media_type     TEXT    NOT NULL,
    size_bytes     INTEGER NOT NULL,
    PRIMARY KEY (pushed_id, position)
) STRICT, WITHOUT ROWID;
INSERT INTO manifest_parts_new (pushed_id, position, destination_id, kind, digest, media_type, size_bytes)
SELECT p.id, min(o.position), p.destination_id, o.kind, o.digest, o.media_type, o.size_bytes
FROM pushed_manifests p JOIN manifest_parts o ON o.manifest = p.digest
GROUP BY p.id, o.kind, o.digest;
DROP TABLE manifest_parts;
ALTER TABLE manifest_parts_new RENAME TO manifest_parts;
CREATE INDEX manifest_parts_digest ON manifest_parts (destination_id, digest);

-- What `reindex` read out of it and its config, for people.
CREATE TABLE images_new (
    pushed_id  INTEGER PRIMARY KEY REFERENCES pushed_manifests (id),
    kind       TEXT    NOT NULL CHECK (kind IN ('image', 'index', 'artifact')),
    platforms  TEXT    NOT NULL, -- a JSON array of "os/architecture[/variant]"
    labels     TEXT    NOT NULL, -- a JSON object
    created    TEXT,
    size_bytes INTEGER NOT NULL, -- the manifest and all it consists of
    warning    TEXT
) STRICT;
INSERT INTO images_new (pushed_id, kind, platforms, labels, created, size_bytes, warning)
SELECT p.id, i.kind, i.platforms, i.labels, i.created, i.size_bytes, i.warning
FROM images i JOIN pushed_manifests p ON p.digest = i.digest;
DROP TABLE images;
ALTER TABLE images_new RENAME TO images;

DROP INDEX manifests_subject;
ALTER TABLE manifests DROP COLUMN media_type;
ALTER TABLE manifests DROP COLUMN artifact_type;
ALTER TABLE manifests DROP COLUMN subject;
ALTER TABLE manifests DROP COLUMN annotations;
