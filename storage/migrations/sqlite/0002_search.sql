-- What searches of plans need beside the plan row: kept in the append that changes it.
-- `waiting` holds the words of all that the plan waits for; `attempt` the attempts of the step with the most.

ALTER TABLE plan ADD COLUMN waiting TEXT
    CHECK (waiting IN ('lock', 'retry', 'time', 'retry time', 'operator'));
ALTER TABLE plan ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;

UPDATE plan SET waiting = 'operator' WHERE state = 'paused';
UPDATE plan SET attempt = coalesce((
    SELECT max(tries.n) FROM (
        SELECT count(*) AS n FROM journal, json_each(journal.entries) AS entry
        WHERE journal.plan_id = plan.id AND entry.value ->> '$.step_started.step' IS NOT NULL
        GROUP BY entry.value ->> '$.step_started.step'
    ) AS tries), 0);

-- An index for each order and each field that lists are searched by. Labels are compared without case.
CREATE INDEX plan_created ON plan (created_at, id);
CREATE INDEX plan_started ON plan (started_at, id);
CREATE INDEX plan_ended ON plan (ended_at, id) WHERE ended_at IS NOT NULL;
CREATE INDEX plan_organization ON plan (lower(organization), id);
CREATE INDEX plan_actor ON plan (lower(actor), id);
CREATE INDEX plan_result ON plan (result, id) WHERE result <> 'pending' AND result <> 'success';
CREATE INDEX plan_reason ON plan (reason, id) WHERE reason IS NOT NULL;
CREATE INDEX plan_waiting ON plan (waiting, id) WHERE waiting IS NOT NULL;
CREATE INDEX plan_attempt ON plan (attempt, id) WHERE attempt > 1;
CREATE INDEX plan_link_product ON plan_link (name, lower(value), plan_id) WHERE name = 'product';

CREATE INDEX repositories_name ON repositories (name, id);
CREATE INDEX content_in_name ON content_in (kind, name, repository_id);
