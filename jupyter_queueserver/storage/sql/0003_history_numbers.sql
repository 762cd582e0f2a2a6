-- The number of an entry is its n and never changes.  Trimming only raises history_first; rows below it are gone for every
-- reader and deleted later, in slices.
-- Earlier versions gave n without gaps; should a file have one all the same, its entries are numbered anew.
UPDATE history SET n = -n WHERE (SELECT max(n) - min(n) + 1 <> count(*) FROM history);

UPDATE history SET n = numbered.place
FROM (SELECT n AS old, row_number() OVER (ORDER BY n DESC) AS place FROM history WHERE n < 0) AS numbered
WHERE history.n = numbered.old;

INSERT INTO meta (name, value) VALUES ('history_first', (SELECT coalesce(min(n), 0) FROM history));

CREATE INDEX history_by_uid ON history (uid);
