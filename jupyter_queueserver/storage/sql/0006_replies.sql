-- The replies of requests have a table of their own, so that a start reads only what a retry is known by.
CREATE TABLE replies (
    n     INTEGER PRIMARY KEY,  -- of the request
    reply BLOB NOT NULL,
    sum   INTEGER NOT NULL      -- over the id of the request, too
);
INSERT INTO replies (n, reply, sum)
SELECT n, reply, row_sum(id, reply) FROM requests WHERE length(reply) > 0 AND sum = row_sum(id, text, reply);

CREATE TABLE records (
    n    INTEGER PRIMARY KEY,
    id   TEXT NOT NULL UNIQUE,
    text BLOB NOT NULL,
    sum  INTEGER NOT NULL
);
INSERT INTO records (n, id, text, sum)
SELECT n, id, text, CASE sum WHEN row_sum(id, text, reply) THEN row_sum(id, text) ELSE -1 END FROM requests;
DROP TABLE requests;
ALTER TABLE records RENAME TO requests;
