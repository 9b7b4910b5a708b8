-- Every app.
select name, url, headers, current, created_at, synced_at, sync_error, paused from apps order by name;
