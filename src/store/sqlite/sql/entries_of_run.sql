-- A run's journal by position.
select
    e.run_no, e.idx, e.id, e.op, e.name, e.status, e.seq, coalesce(e.params, p.body) as params, e.result,
    coalesce(e.outcome, o.body) as outcome, e.due_at, e.failures, e.last_error, e.deployment, e.child, e.created_at,
    e.settled_at, e.details, e.copied
from entries e
left join payloads p on p.payload_no = e.params_no
left join payloads o on o.payload_no = e.outcome_no
where e.run_no = ?1
order by e.idx;
