-- Where a run stands, and what it failed with, or is tried again for.
select
    runs.status,
    coalesce(
        runs.last_error,
        case when runs.status = 'failed' then (
            select iif(e.op = 'outcome', coalesce(e.outcome, p.body), null)
            from entries e
            left join payloads p on p.payload_no = e.outcome_no
            where e.run_no = runs.run_no
            order by e.idx desc
            limit 1
        ) end
    ) as failure
from runs
where runs.run_no = ?1;
