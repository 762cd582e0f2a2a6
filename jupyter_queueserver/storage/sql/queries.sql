-- Every row has a check sum: row_sum() is given to each connection (row_sums.py).  Of a row that does not fit its sum the text
-- is read as an empty one, which nothing is.
-- name: read_meta
SELECT value FROM meta WHERE name = ? AND sum = row_sum(name, value);

-- name: write_meta
INSERT INTO meta (name, value, sum) SELECT column1, column2, row_sum(column1, column2) FROM (VALUES (?, ?)) WHERE true
ON CONFLICT (name) DO UPDATE SET value = excluded.value, sum = excluded.sum;

-- name: read_parts
SELECT name, CASE sum WHEN row_sum(name, text) THEN CAST(text AS BLOB) ELSE x'' END FROM parts;

-- name: has_parts
SELECT EXISTS (SELECT 1 FROM parts);

-- name: write_part
INSERT INTO parts (name, text, sum) SELECT column1, column2, row_sum(column1, column2) FROM (VALUES (?, ?)) WHERE true
ON CONFLICT (name) DO UPDATE SET text = excluded.text, sum = excluded.sum;

-- name: read_queue
SELECT CASE sum WHEN row_sum(uid, rank, text) THEN CAST(text AS BLOB) ELSE x'' END FROM queue ORDER BY rank;

-- name: insert_queued
INSERT INTO queue (uid, rank, text, sum)
SELECT column1, column2, column3, row_sum(column1, column2, column3) FROM (VALUES (?, ?, ?));

-- name: delete_queued
DELETE FROM queue WHERE uid = ?;

-- name: delete_all_queued
DELETE FROM queue;

-- name: replace_queued
UPDATE queue SET uid = new.column1, text = new.column2, sum = row_sum(new.column1, rank, new.column2)
FROM (VALUES (?, ?)) AS new WHERE uid = ?;

-- name: move_queued
UPDATE queue SET rank = new.column1, sum = row_sum(uid, new.column1, text) FROM (VALUES (?)) AS new WHERE uid = ?;

-- name: rank_of
SELECT rank FROM queue WHERE uid = ?;

-- name: rank_below
SELECT max(rank) FROM queue WHERE rank < ?;

-- name: last_rank
SELECT max(rank) FROM queue;

-- name: renumber
WITH numbered AS (SELECT uid AS id, row_number() OVER (ORDER BY rank) * column1 AS place FROM queue, (VALUES (?)))
UPDATE queue SET rank = numbered.place, sum = row_sum(uid, numbered.place, text) FROM numbered WHERE numbered.id = queue.uid;

-- name: history_end
SELECT coalesce(max(n) + 1, 0) FROM history;

-- name: read_history_backwards
SELECT CASE sum WHEN row_sum(n, uid, text) THEN CAST(text AS BLOB) ELSE x'' END FROM history WHERE n >= ? ORDER BY n DESC;

-- name: read_history
SELECT n, CASE sum WHEN row_sum(n, uid, text) THEN CAST(text AS BLOB) ELSE x'' END FROM history
WHERE n >= max(?, (SELECT value FROM meta WHERE name = 'history_first')) AND n < ? ORDER BY n LIMIT ?;

-- name: number_in_history
SELECT max(n) FROM history WHERE uid = ? AND n >= (SELECT value FROM meta WHERE name = 'history_first');

-- name: append_history
INSERT INTO history (n, uid, text, sum)
SELECT column1, column2, column3, row_sum(column1, column2, column3) FROM (VALUES (?, ?, ?));

-- name: delete_trimmed
DELETE FROM history WHERE n IN (SELECT n FROM history WHERE n < ? ORDER BY n LIMIT ?);

-- name: read_results
SELECT CASE sum WHEN row_sum(uid, text) THEN CAST(text AS BLOB) ELSE x'' END FROM results ORDER BY n;

-- name: append_result
INSERT INTO results (uid, text, sum) SELECT column1, column2, row_sum(column1, column2) FROM (VALUES (?, ?));

-- name: delete_result
DELETE FROM results WHERE uid = ?;

-- name: read_requests
SELECT CASE sum WHEN row_sum(id, text) THEN CAST(text AS BLOB) ELSE x'' END FROM requests ORDER BY n;

-- name: append_request
INSERT INTO requests (id, text, sum) SELECT column1, column2, row_sum(column1, column2) FROM (VALUES (?, ?));

-- name: append_reply
INSERT INTO replies (n, reply, sum)
SELECT requests.n, new.column2, row_sum(requests.id, new.column2) FROM (VALUES (?, ?)) AS new JOIN requests ON requests.id = new.column1;

-- name: delete_request
DELETE FROM requests WHERE id = ?;

-- name: delete_reply
DELETE FROM replies WHERE n = (SELECT n FROM requests WHERE id = ?);

-- name: read_reply
SELECT CASE replies.sum WHEN row_sum(requests.id, replies.reply) THEN CAST(replies.reply AS BLOB) ELSE x'' END
FROM requests JOIN replies ON replies.n = requests.n WHERE requests.id = ?;
