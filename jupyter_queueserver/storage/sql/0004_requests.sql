-- Requests with an id that were done, oldest first.  text: what a retry is known by; reply: what it is answered, read for a
-- retry only.
CREATE TABLE requests (
    n     INTEGER PRIMARY KEY,
    id    TEXT NOT NULL UNIQUE,
    text  BLOB NOT NULL,
    reply BLOB NOT NULL
);
