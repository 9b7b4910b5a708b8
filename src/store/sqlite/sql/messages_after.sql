-- Messages of a channel behind a number, in order, without those that were cut.
select m.message_no, m.first, m.channel, m.run_no, r.id as run, m.source, m.attempt, m.topic, m.data, m.cut_by, m.at
from messages m
join runs r on r.run_no = m.run_no
where m.channel = ?1 and m.message_no > ?2 and m.cut_by is null
order by m.message_no
limit ?3;
