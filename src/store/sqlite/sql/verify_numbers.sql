-- Whether numbers were given that the partition does not know of: it would give them again.
select null as id, 'run number ' || newest.run_no || ' is greater than ' || partitions.run_no || ', the greatest given' as what
from partitions, (select max(run_no) as run_no from runs) newest
where newest.run_no > partitions.run_no
union all
select null as id, 'event number ' || newest.seq || ' is greater than ' || partitions.event_seq || ', the greatest given' as what
from partitions, (select max(seq) as seq from events) newest
where newest.seq > partitions.event_seq;
