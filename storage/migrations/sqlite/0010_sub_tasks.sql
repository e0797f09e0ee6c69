-- A sub-task is linked to its parent. Like a digest, a parent stands for itself and is left out of the texts that patterns are
-- compared with.
DROP TRIGGER plan_link_is_searched;
CREATE TRIGGER plan_link_is_searched AFTER INSERT ON plan_link WHEN new.name NOT IN ('digest', 'parent')
BEGIN
    INSERT INTO searched_texts (field, text) VALUES (new.name, new.value) ON CONFLICT DO NOTHING;
END;
