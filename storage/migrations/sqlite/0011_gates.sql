-- Gates that were ever closed: those of backends by themselves or by hand, those of workflows and nodes by hand, as holds.
CREATE TABLE gate (
    kind     TEXT    NOT NULL CHECK (kind IN ('backend', 'workflow', 'node')),
    name     TEXT    NOT NULL,
    state    TEXT    NOT NULL CHECK (state IN ('open', 'closed', 'opening')),
    actor    TEXT,
    reason   TEXT,
    since    INTEGER NOT NULL,
    at_once  INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    probe_at INTEGER,
    revision INTEGER NOT NULL,
    PRIMARY KEY (kind, name),
    CHECK ((state = 'opening') = (at_once > 0)),
    CHECK (kind = 'backend' OR state <> 'opening'),
    CHECK (probe_at IS NULL OR (state = 'closed' AND actor IS NULL))
) STRICT;
