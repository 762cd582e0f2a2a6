-- Results of tasks, oldest first; each in a row, so that a new one does not write the others again.
CREATE TABLE results (
    n    INTEGER PRIMARY KEY,
    uid  TEXT NOT NULL UNIQUE,
    text BLOB NOT NULL
);
