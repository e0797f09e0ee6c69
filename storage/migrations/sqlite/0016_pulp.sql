-- What lies in a Pulp 3, where that is the content backend.

-- Where the content of this instance goes on to.
ALTER TABLE instance ADD COLUMN backend TEXT NOT NULL DEFAULT 'embedded' CHECK (backend IN ('embedded', 'pulp'));

-- Where the bytes of a blob are: 1 in its object, 0 in Pulp alone.
ALTER TABLE blobs ADD COLUMN has_object INTEGER NOT NULL DEFAULT 1 CHECK (has_object IN (0, 1));

-- The names in Pulp that are ours to use for a destination, because nobody had them when we looked.
CREATE TABLE pulp_repositories (
    destination_id INTEGER NOT NULL PRIMARY KEY REFERENCES destinations (id),
    since          INTEGER NOT NULL,
    repository     TEXT, -- the one with versions, by its href: where Pulp gives another, all below begins anew
    newest         INTEGER NOT NULL DEFAULT 0, -- the number of the newest version that a plan has made
    served         INTEGER NOT NULL DEFAULT 0 -- the number of the version that is served
) STRICT;

-- Blobs that the push repository of a destination has taken.
CREATE TABLE pulp_blobs (
    destination_id INTEGER NOT NULL REFERENCES destinations (id),
    digest         TEXT    NOT NULL REFERENCES blobs (digest),
    kept           INTEGER NOT NULL DEFAULT 0 CHECK (kept IN (0, 1)), -- 1: a version has it, and its bytes are right
    PRIMARY KEY (destination_id, digest)
) STRICT;
CREATE INDEX pulp_blobs_digest ON pulp_blobs (digest, kept);

-- Manifests that Pulp does not take as such: it has their blobs, and they are served from here.
CREATE TABLE pulp_odd_manifests (
    destination_id INTEGER NOT NULL REFERENCES destinations (id),
    digest         TEXT    NOT NULL REFERENCES manifests (digest),
    PRIMARY KEY (destination_id, digest)
) STRICT;

-- The number of the version in Pulp that holds what this one does, and perhaps more.
ALTER TABLE embedded_versions ADD COLUMN pulp_number INTEGER;
