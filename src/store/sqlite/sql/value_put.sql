-- A value of an object's state, with what the run that holds the key found there.
insert into object_state (app, object, key, name, value, changed, before) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
on conflict (app, object, key, name) do update
set value = excluded.value, changed = excluded.changed, before = excluded.before;
