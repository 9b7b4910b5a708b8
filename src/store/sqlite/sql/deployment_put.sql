-- A deployment as it now is.
insert into deployments (id, app, url, manifest, created_at, seen_at, state) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
on conflict (id) do update set app = excluded.app, url = excluded.url, manifest = excluded.manifest,
    created_at = excluded.created_at, seen_at = excluded.seen_at, state = excluded.state;
