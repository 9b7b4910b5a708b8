-- A deployment as it now is.
insert into deployments (id, app, url, manifest, created_at) values (?1, ?2, ?3, ?4, ?5)
on conflict (id) do update set app = excluded.app, url = excluded.url, manifest = excluded.manifest,
    created_at = excluded.created_at;
