-- Every deployment.
select id, app, url, manifest, created_at from deployments order by id;
