-- Every early signal by run and order.
select s.run_no, s.position, s.name, s.id, s.result, coalesce(s.payload, p.body) as payload, s.at, s.consumed_by
from signals s
left join payloads p on p.payload_no = s.payload_no
order by s.run_no, s.position;
