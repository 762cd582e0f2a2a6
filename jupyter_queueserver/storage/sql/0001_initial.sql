-- Items are kept as the JSON texts that they are, as BLOBs: Python's dialect (NaN, lone surrogates) passes unchanged.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES ('fence', 0);

-- rank: order in the queue, with gaps, so that an insertion writes one row.
CREATE TABLE queue (
    uid  TEXT PRIMARY KEY,
    rank INTEGER NOT NULL,
    text BLOB NOT NULL
);

CREATE INDEX queue_by_rank ON queue (rank);

-- n: oldest first.
CREATE TABLE history (
    n    INTEGER PRIMARY KEY,
    uid  TEXT NOT NULL,
    text BLOB NOT NULL
);

-- The small and the big parts of the state, each in a row of its own.
CREATE TABLE parts (
    name TEXT PRIMARY KEY,
    text BLOB NOT NULL
);
