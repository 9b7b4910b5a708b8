-- Forgets deployments that nothing needs: of each app all but the ?1 that were seen last, its newest, and those that a run
-- which has not ended is pinned to.
delete from deployments
where id in (
    select aged.id
    from (
        select id, row_number() over (partition by app order by seen_at desc, created_at desc, id desc) as age
        from deployments
    ) as aged
    where aged.age > ?1
        and not exists (select 1 from apps where apps.current = aged.id)
        and not exists (
            select 1 from runs
            where runs.deployment = aged.id
                and runs.status in ('queued', 'ready', 'suspended', 'backoff', 'paused')
        )
)
returning id;
