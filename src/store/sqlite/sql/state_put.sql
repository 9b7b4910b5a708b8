-- An entity's after-image.
insert into state (kind, key, wake_at, value) values (?1, ?2, ?3, ?4)
on conflict (kind, key) do update set wake_at = excluded.wake_at, value = excluded.value;
