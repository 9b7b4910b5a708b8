-- Who holds which keys of an object, in the order of the keys.
select kind, key, wake_at, value
from state
where kind = 'object' and key > ?1 and key < ?2
order by key
limit ?3;
