-- What steps of rehearsals leave behind, so that it can be seen whether each ran as it should. Goes with its plan.
CREATE TABLE rehearsal_mark (
    plan_id BLOB    NOT NULL REFERENCES plan (id) ON DELETE CASCADE,
    step    TEXT    NOT NULL,
    runs    INTEGER NOT NULL CHECK (runs > 0), -- how often the step has left it
    left_at INTEGER NOT NULL,                  -- when it did so last
    PRIMARY KEY (plan_id, step)
) STRICT, WITHOUT ROWID;
