-- One entry of a run by its id.
select
    e.run_no, e.idx, e.id, e.op, e.name, e.status, e.seq, coalesce(e.params, p.body) as params, e.result,
    coalesce(e.outcome, o.body) as outcome, e.due_at, e.failures, e.last_error, e.deployment, e.child, e.created_at,
    e.settled_at, e.details, e.copied
from runs r
join entries e on e.run_no = r.run_no
left join payloads p on p.payload_no = e.params_no
left join payloads o on o.payload_no = e.outcome_no
where r.id = ?1 and e.id = ?2
order by e.idx;
