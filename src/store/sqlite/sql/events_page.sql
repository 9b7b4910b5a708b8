-- Events of one name between two numbers, oldest first.
select e.seq, e.id, e.name, coalesce(e.data, p.body) as data, e.at, e.client_id, e.source
from events e
left join payloads p on p.payload_no = e.data_no
where e.name = ?1 and e.seq > ?2 and e.seq <= ?3
order by e.seq
limit ?4;
