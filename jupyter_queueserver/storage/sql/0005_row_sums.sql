-- A check sum in each row, over all its values: SQLite finds damage of its own structure, not of what is in the rows.
ALTER TABLE meta ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE parts ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE history ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE results ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;

UPDATE meta SET sum = row_sum(name, value);
UPDATE parts SET sum = row_sum(name, text);
UPDATE queue SET sum = row_sum(uid, rank, text);
UPDATE history SET sum = row_sum(n, uid, text);
UPDATE results SET sum = row_sum(uid, text);
UPDATE requests SET sum = row_sum(id, text, reply);
