-- What has become of an update: where its run stands, whether it was consumed, and the reply.
select r.status, s.consumed_by is not null as consumed, s.reply_result, coalesce(s.reply, p.body) as reply
from runs r
join signals s on s.run_no = r.run_no
left join payloads p on p.payload_no = s.reply_no
where r.id = ?1 and s.id = ?2 and s.wants_reply = 1;
