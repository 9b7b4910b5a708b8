-- One other entity.
select kind, key, wake_at, value from state where kind = ?1 and key = ?2;
