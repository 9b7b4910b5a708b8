-- Schedules whose keys lie between two texts, in order.
select kind, key, wake_at, value
from state
where kind = 'schedule' and key > ?1 and key < ?2
order by key
limit ?3;
