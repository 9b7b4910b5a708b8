-- An app as it now is.
insert into apps (name, url, headers, current, created_at, synced_at, sync_error, paused)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
on conflict (name) do update set url = excluded.url, headers = excluded.headers, current = excluded.current,
    created_at = excluded.created_at, synced_at = excluded.synced_at, sync_error = excluded.sync_error,
    paused = excluded.paused;
