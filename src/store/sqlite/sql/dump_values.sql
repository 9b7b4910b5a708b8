-- Every object's state by key and name.
select app, object, key, name, value, changed, before
from object_state
order by app, object, key, name;
