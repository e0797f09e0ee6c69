-- Schedules: workflows that are submitted at nominal times, each of which is fired once.
CREATE TABLE schedule (
    id            INTEGER PRIMARY KEY AUTOINCREMENT, -- a number is never another schedule's
    name          TEXT    NOT NULL UNIQUE,
    workflow      TEXT    NOT NULL,
    input         TEXT    NOT NULL, -- JSON
    cron          TEXT    NOT NULL,
    time_zone     TEXT    NOT NULL,
    missed        TEXT    NOT NULL CHECK (missed IN ('skip', 'once', 'all')),
    end_at        INTEGER,
    max_runs      INTEGER,
    enabled       INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    built_in      INTEGER NOT NULL CHECK (built_in IN (0, 1)),
    actor         TEXT,             -- the login of who saved it last
    created_at    INTEGER NOT NULL,
    handled_until INTEGER NOT NULL, -- every nominal time up to this is fired or passed over
    runs          INTEGER NOT NULL,
    last_nominal  INTEGER,
    last_plan     BLOB,
    revision      INTEGER NOT NULL, -- raised by every write; who fires names the one that was read
    next_at       INTEGER,          -- when it runs next, as computed from the columns above; none: it does not
    CHECK ((last_nominal IS NULL) = (last_plan IS NULL))
) STRICT;
CREATE INDEX schedule_next_at ON schedule (next_at) WHERE next_at IS NOT NULL;
