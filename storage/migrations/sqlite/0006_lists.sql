-- What the client of a push was told last. Written a moment after the answer, so that no answer waits for it.
CREATE TABLE answers (
    plan_id BLOB    NOT NULL PRIMARY KEY REFERENCES plan (id),
    status  INTEGER NOT NULL, -- of HTTP
    at      INTEGER NOT NULL,
    warning TEXT
) STRICT;

-- Each text that plans are searched by, once: a pattern is compared with these and not with every plan. A text stays when its
-- last plan goes; it finds nothing then. Digests are left out, because each of them stands for itself.
CREATE TABLE searched_texts (
    field TEXT NOT NULL,
    text  TEXT NOT NULL,
    PRIMARY KEY (field, text)
) STRICT, WITHOUT ROWID;

INSERT INTO searched_texts (field, text) SELECT DISTINCT name, value FROM plan_link WHERE name <> 'digest';
INSERT INTO searched_texts (field, text) SELECT DISTINCT 'label', workflow FROM plan;
INSERT INTO searched_texts (field, text) SELECT DISTINCT 'user', actor FROM plan WHERE actor IS NOT NULL;
INSERT INTO searched_texts (field, text)
SELECT DISTINCT 'organization', organization FROM plan WHERE organization IS NOT NULL;

CREATE TRIGGER plan_link_is_searched AFTER INSERT ON plan_link WHEN new.name <> 'digest'
BEGIN
    INSERT INTO searched_texts (field, text) VALUES (new.name, new.value) ON CONFLICT DO NOTHING;
END;
-- Nobody's login is the empty text, so that it finds nothing.
CREATE TRIGGER plan_is_searched AFTER INSERT ON plan
BEGIN
    INSERT INTO searched_texts (field, text)
    VALUES ('label', new.workflow), ('user', coalesce(new.actor, '')), ('organization', coalesce(new.organization, ''))
    ON CONFLICT DO NOTHING;
END;

-- What a version changed, without looking at all that the repository has; and how many tags it has, without their rows.
CREATE INDEX content_in_added ON content_in (repository_id, added, kind, removed);
CREATE INDEX content_in_removed ON content_in (repository_id, removed) WHERE removed IS NOT NULL;
CREATE INDEX products_open ON products (id) WHERE anonymous_pull = 1;
CREATE INDEX embedded_content_added ON embedded_content (destination_id, added);
CREATE INDEX embedded_content_removed ON embedded_content (destination_id, removed) WHERE removed IS NOT NULL;
