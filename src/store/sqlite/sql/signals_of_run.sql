-- A run's early signals in order of arrival.
select s.run_no, s.position, s.name, s.id, s.result, coalesce(s.payload, p.body) as payload, s.at, s.consumed_by,
    s.wants_reply, s.reply_result, coalesce(s.reply, r.body) as reply
from signals s
left join payloads p on p.payload_no = s.payload_no
left join payloads r on r.payload_no = s.reply_no
where s.run_no = ?1
order by s.position;
