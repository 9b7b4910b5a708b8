-- Every event by number.
select e.seq, e.id, e.name, coalesce(e.data, p.body) as data, e.at, e.client_id, e.source
from events e
left join payloads p on p.payload_no = e.data_no
order by e.seq;
