-- Every other entity by key.
select kind, key, wake_at, value from state order by kind, key;
