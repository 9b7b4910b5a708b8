-- A large payload, written once for all rows of the batch that refer to it.
insert into payloads (uses, body) values (?1, ?2);
