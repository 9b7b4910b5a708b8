-- By which paths the waits for an event name are indexed, and how many each has.
select path, count(*) from waits where event = ?1 group by path order by path;
