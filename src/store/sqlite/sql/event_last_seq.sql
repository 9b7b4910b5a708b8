-- The greatest number of an event name.
select seq from events where name = ?1 order by seq desc limit 1;
