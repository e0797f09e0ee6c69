-- Rules of retention: which tags and manifests of a product's repositories stay, and since when nobody has wanted the others.

ALTER TABLE products ADD COLUMN retention TEXT; -- a JSON object; none: everything stays
CREATE INDEX products_retention ON products (id) WHERE retention IS NOT NULL;

-- When somebody pushed a tag to where it points, where the version that has it first does not say so: because it is dropped, or
-- because it is a rollback, which brings back what was pushed before.
ALTER TABLE content_in ADD COLUMN set_at INTEGER;
UPDATE content_in SET set_at = (
    SELECT min(v.created_at) FROM versions v
    WHERE v.repository_id = content_in.repository_id AND v.number > content_in.added)
WHERE kind = 'tag' AND NOT EXISTS (
    SELECT 1 FROM versions v WHERE v.repository_id = content_in.repository_id AND v.number = content_in.added);

-- When a tag or a manifest was pulled last, and when it was pushed again without a change: both a little later than written here.
CREATE TABLE last_touched (
    destination_id INTEGER NOT NULL REFERENCES destinations (id),
    kind           TEXT    NOT NULL CHECK (kind IN ('tag', 'manifest')),
    name           TEXT    NOT NULL, -- of a manifest: its digest
    pulled_at      INTEGER,
    pushed_at      INTEGER,
    PRIMARY KEY (destination_id, kind, name)
) STRICT;
-- Since when pulls are written down: of what was pulled before nobody knows.
CREATE TABLE pulls_are_known (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    since INTEGER NOT NULL
) STRICT;
INSERT INTO pulls_are_known (one, since) VALUES (1, unixepoch() * 1000);

-- The children of indexes, without looking at layers.
CREATE INDEX manifest_parts_children ON manifest_parts (destination_id, pushed_id) WHERE kind = 'manifest';
