-- Runs between two numbers that have not ended and are pinned to a deployment that is not known.
select runs.id, 'it is pinned to ' || runs.deployment || ', which is not known any more' as what
from runs
where runs.run_no between ?1 and ?2
    and runs.ended_at is null
    and runs.deployment is not null
    and not exists (select 1 from deployments where deployments.id = runs.deployment);
