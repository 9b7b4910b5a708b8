-- A run's failed attempts in order of insertion.
select a.run_no, a.idx, a.number, a.started_at, a.ended_at, coalesce(a.error, p.body) as error
from attempts a
left join payloads p on p.payload_no = a.error_no
where a.run_no = ?1
order by a.attempt_no;
