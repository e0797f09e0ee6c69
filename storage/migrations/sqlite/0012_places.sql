-- How often the node has started in a row without having signed off before: from the second time on it takes up one plan after
-- the other what was at work.
ALTER TABLE node ADD COLUMN unclean_starts INTEGER NOT NULL DEFAULT 0;

-- What a plan waits for has more words than when its column was made, and together they are too many to be listed.
DROP INDEX plan_waiting;
ALTER TABLE plan ADD COLUMN waits TEXT;
UPDATE plan SET waits = waiting WHERE waiting IS NOT NULL;
ALTER TABLE plan DROP COLUMN waiting;
ALTER TABLE plan RENAME COLUMN waits TO waiting;
CREATE INDEX plan_waiting ON plan (waiting, id) WHERE waiting IS NOT NULL;
