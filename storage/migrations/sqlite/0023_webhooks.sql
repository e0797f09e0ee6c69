-- Webhooks: whom we tell of what happens.

CREATE TABLE webhooks (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    name             TEXT    NOT NULL,
    name_key         TEXT    NOT NULL UNIQUE,
    url              TEXT    NOT NULL,
    secret           TEXT    NOT NULL,
    events           TEXT    NOT NULL, -- a JSON array
    organization_id  INTEGER REFERENCES organizations (id), -- none: hears of all
    enabled          INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    disabled_because TEXT,
    created_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX webhooks_enabled ON webhooks (id) WHERE enabled = 1;

-- What is still to be told: each row becomes a plan per webhook, in the transaction that deletes it.
CREATE TABLE untold (
    n       INTEGER PRIMARY KEY AUTOINCREMENT,
    plan_id BLOB    NOT NULL,
    seq     INTEGER NOT NULL, -- as far as its journal goes when it happens
    at      INTEGER NOT NULL
) STRICT;

-- In the very transaction in which a plan pauses or ends. Of a plan that tells a webhook nobody is told.
CREATE TRIGGER plan_is_told AFTER UPDATE OF state ON plan
WHEN new.state <> old.state AND new.workflow <> 'deliver_webhook'
    AND (new.state = 'paused' OR (new.state = 'stopped' AND new.result IN ('success', 'warning')))
    AND EXISTS (SELECT 1 FROM webhooks WHERE enabled = 1)
BEGIN
    INSERT INTO untold (plan_id, seq, at)
    VALUES (
        new.id, (SELECT coalesce(max(seq), 0) FROM journal WHERE plan_id = new.id),
        coalesce(new.ended_at, new.paused_at, unixepoch() * 1000)
    );
END;

-- Which plan tells which webhook, and what that answered last. Goes with both.
CREATE TABLE webhook_deliveries (
    plan_id    BLOB    NOT NULL PRIMARY KEY REFERENCES plan (id) ON DELETE CASCADE,
    webhook_id INTEGER NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event      TEXT    NOT NULL,
    event_id   TEXT    NOT NULL,
    answer     TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook_id, plan_id);
