-- One entry of a run by position; its outcome only if that has at most so many bytes.
select
    e.run_no, e.idx, e.id, e.op, e.name, e.status, e.seq, coalesce(e.params, p.body) as params,
    case when coalesce(length(e.outcome), length(o.body), 0) <= ?3 then e.result end as result,
    case when coalesce(length(e.outcome), length(o.body), 0) <= ?3 then coalesce(e.outcome, o.body) end as outcome,
    e.due_at, e.failures, e.last_error, e.deployment, e.child, e.created_at, e.settled_at, e.details, e.copied
from runs r
join entries e on e.run_no = r.run_no
left join payloads p on p.payload_no = e.params_no
left join payloads o on o.payload_no = e.outcome_no
where r.id = ?1 and e.idx = ?2;
