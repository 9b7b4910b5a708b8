-- The newest settled entries of a run below a seq: their positions and how many bytes their outcomes have. The bytes
-- themselves are not read.
select e.idx, coalesce(length(e.outcome), length(o.body), 0)
from runs r
join entries e on e.run_no = r.run_no
left join payloads o on o.payload_no = e.outcome_no
where r.id = ?1 and e.seq < ?2
order by e.seq desc, e.idx desc
limit ?3;
