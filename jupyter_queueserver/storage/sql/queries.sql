-- name: read_meta
SELECT value FROM meta WHERE name = ?;

-- name: write_meta
INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: read_parts
SELECT name, text FROM parts;

-- name: has_parts
SELECT EXISTS (SELECT 1 FROM parts);

-- name: write_part
INSERT INTO parts (name, text) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET text = excluded.text;

-- name: read_queue
SELECT text FROM queue ORDER BY rank;

-- name: insert_queued
INSERT INTO queue (uid, rank, text) VALUES (?, ?, ?);

-- name: delete_queued
DELETE FROM queue WHERE uid = ?;

-- name: delete_all_queued
DELETE FROM queue;

-- name: replace_queued
UPDATE queue SET uid = ?, text = ? WHERE uid = ?;

-- name: move_queued
UPDATE queue SET rank = ? WHERE uid = ?;

-- name: rank_of
SELECT rank FROM queue WHERE uid = ?;

-- name: rank_below
SELECT max(rank) FROM queue WHERE rank < ?;

-- name: last_rank
SELECT max(rank) FROM queue;

-- name: renumber
WITH numbered AS (SELECT uid AS id, row_number() OVER (ORDER BY rank) AS place FROM queue)
UPDATE queue SET rank = numbered.place * ? FROM numbered WHERE numbered.id = queue.uid;

-- name: read_history
SELECT text FROM history ORDER BY n;

-- name: append_history
INSERT INTO history (uid, text) VALUES (?, ?);

-- name: trim_history
DELETE FROM history WHERE n IN (SELECT n FROM history ORDER BY n LIMIT ?);

-- name: read_results
SELECT text FROM results ORDER BY n;

-- name: append_result
INSERT INTO results (uid, text) VALUES (?, ?);

-- name: delete_result
DELETE FROM results WHERE uid = ?;
