-- What OCI clients ask for in pages: who refers to a manifest, and which names there are.

CREATE INDEX manifests_subject ON manifests (subject, digest) WHERE subject IS NOT NULL;

-- The names that repositories are pulled by, as `_catalog` lists them, in the order of their bytes.
CREATE TABLE repository_names (
    name          TEXT    NOT NULL PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX repository_names_repository ON repository_names (repository_id);

INSERT INTO repository_names (name, repository_id)
SELECT o.label_key
        || CASE WHEN p.label_key = 'container_push' AND r.name NOT LIKE '%/%' THEN '/' ELSE '/' || p.label_key || '/' END
        || r.name,
    r.id
FROM repositories r JOIN products p ON p.id = r.product_id JOIN organizations o ON o.id = p.organization_id;
