-- Plans that rely on a repository that has no version yet: the last of them to be undone removes it.
CREATE TABLE repository_uses (
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    plan_id       BLOB    NOT NULL,
    PRIMARY KEY (repository_id, plan_id)
) STRICT;

-- 1: the drill befalls what undoes the step, not the step.
ALTER TABLE drill ADD COLUMN undo INTEGER NOT NULL DEFAULT 0 CHECK (undo IN (0, 1));
