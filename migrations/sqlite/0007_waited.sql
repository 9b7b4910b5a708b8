-- Waits for events that have settled, by time: so it is known which runs an event woke. Few entries are such waits, and no
-- other entry costs more than a look at its kind.
create index entries_waited on entries (settled_at) where op = 'waitEvent' and settled_at is not null;
