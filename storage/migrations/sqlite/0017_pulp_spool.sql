-- Blobs whose bytes lie in an object of ours until Pulp has them.
CREATE TABLE pulp_spool (
    digest         TEXT    NOT NULL PRIMARY KEY REFERENCES blobs (digest),
    destination_id INTEGER NOT NULL REFERENCES destinations (id), -- where it goes on to
    size_bytes     INTEGER NOT NULL,
    since          INTEGER NOT NULL
) STRICT;
CREATE INDEX pulp_spool_since ON pulp_spool (since, digest);

INSERT INTO pulp_spool (digest, destination_id, size_bytes, since)
SELECT b.digest, min(l.destination_id), b.size_bytes, b.created_at
FROM blobs b JOIN blob_links l ON l.digest = b.digest
WHERE b.has_object = 1 AND substr(b.digest, 1, 7) = 'sha256:'
  AND (SELECT backend FROM instance) = 'pulp'
GROUP BY b.digest;
