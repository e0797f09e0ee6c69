-- What a plan that clears up has done so far, counted in the transactions in which it does it.
CREATE TABLE tally (
    plan_id BLOB    NOT NULL REFERENCES plan (id) ON DELETE CASCADE,
    name    TEXT    NOT NULL,
    n       INTEGER NOT NULL,
    PRIMARY KEY (plan_id, name)
) STRICT, WITHOUT ROWID;
