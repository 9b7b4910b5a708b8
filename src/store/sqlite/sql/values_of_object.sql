-- The state under one key of an object, by name.
select app, object, key, name, value, changed, before
from object_state
where app = ?1 and object = ?2 and key = ?3
order by name;
