-- The distribution of a destination in Pulp, by its href, so that it need not be looked for by its name at each push.
ALTER TABLE pulp_repositories ADD COLUMN distribution TEXT;
