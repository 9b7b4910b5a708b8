-- Every deployment.
select id, app, url, manifest, created_at, seen_at, state from deployments order by id;
