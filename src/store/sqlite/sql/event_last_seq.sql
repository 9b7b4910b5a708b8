-- The greatest number of an event name.
select max(seq) from events where name = ?1;
