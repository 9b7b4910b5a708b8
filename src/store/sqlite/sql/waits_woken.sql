-- Waits that settled at or after a time, the first of them, whose outcome begins with these bytes: those that one event woke. A fork's
-- copies were not woken by it.
with source (run_no, id, outcome, outcome_no, copied) as (
    select run_no, id, outcome, outcome_no, copied
    from entries
    where op = 'waitEvent' and settled_at >= ?1
    order by settled_at
    limit ?3
)
select source.run_no, source.id
from source
left join payloads p on p.payload_no = source.outcome_no
where not source.copied and substr(coalesce(source.outcome, p.body), 1, length(?2)) = ?2;
