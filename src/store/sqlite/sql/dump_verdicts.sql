-- Every verdict by event and function.
select e.id, v.app, v.function, v.verdict, v.detail
from verdicts v
join events e on e.seq = v.event_seq
order by e.id, v.app, v.function;
