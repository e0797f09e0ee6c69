-- Tags that syncs have put into a registry: they are removed there once they shall not be there, and no others are. A tag of a name
-- belongs to who has put it there last, so that a name may go from one repository to another.
CREATE TABLE smart_proxy_tags (
    proxy_id       INTEGER NOT NULL REFERENCES smart_proxies (id) ON DELETE CASCADE,
    name           TEXT    NOT NULL, -- as this server publishes it
    tag            TEXT    NOT NULL,
    digest         TEXT    NOT NULL,
    environment_id INTEGER NOT NULL,
    repository_id  INTEGER NOT NULL,
    stays          INTEGER NOT NULL DEFAULT 0 CHECK (stays IN (0, 1)), -- 1: the registry did not delete it when it was asked to
    PRIMARY KEY (proxy_id, name, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX smart_proxy_tags_place ON smart_proxy_tags (proxy_id, repository_id, environment_id);

-- The robots by which a Pulp pulls from here that is a smart proxy: one for each organization. Their tokens are told to that Pulp alone.
CREATE TABLE smart_proxy_robots (
    proxy_id        INTEGER NOT NULL REFERENCES smart_proxies (id) ON DELETE CASCADE,
    organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token           TEXT    NOT NULL,
    PRIMARY KEY (proxy_id, organization_id)
) STRICT, WITHOUT ROWID;
