-- Suspended runs between two numbers whose handler said what it waits for, and has it: it was not woken.
select runs.id, 'all of ' || awaited.value || ' has settled, and its handler was not told' as what
from runs, json_each(cast(runs.awaiting as text)) awaited
where runs.run_no between ?1 and ?2
    and runs.status = 'suspended'
    and runs.awaiting is not null
    and exists (
        select 1
        from json_each(awaited.value) wanted
        join entries on entries.run_no = runs.run_no and entries.id = wanted.value and entries.seq > runs.seen
    )
    and not exists (
        select 1
        from json_each(awaited.value) wanted
        join entries on entries.run_no = runs.run_no and entries.id = wanted.value and entries.status <> 'settled'
    );
