-- Keys of an object that have state, in order.
select distinct key
from object_state
where app = ?1 and object = ?2 and key > ?3
order by key
limit ?4;
