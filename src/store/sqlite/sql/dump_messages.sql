-- All messages in order.
select m.message_no, m.first, m.channel, m.run_no, r.id as run, m.source, m.attempt, m.topic, m.data, m.cut_by, m.at
from messages m
join runs r on r.run_no = m.run_no
order by m.message_no;
