-- The first runs that wait for a key of an object.
select queue_order, id
from runs
where queue_key = ?1
order by queue_order
limit ?2;
