-- Open waits for events of runs between two numbers: each belongs to an open entry, or cancels its run, and each such entry has
-- one. From position 2^31 on there are no entries but the events that cancel a run.
select
    runs.id,
    case
        when runs.id is null then 'a wait belongs to run number ' || waits.run_no || ', which does not exist'
        when runs.ended_at is not null then 'it has ended, and still waits for `' || waits.event || '`'
        else 'it waits for `' || waits.event || '` at position ' || waits.idx || ', where no entry waits'
    end as what
from waits
left join runs on runs.run_no = waits.run_no
where waits.run_no between ?1 and ?2
    and (
        runs.id is null
        or runs.ended_at is not null
        or waits.idx < 2147483648
        and not exists (
            select 1
            from entries
            where entries.run_no = waits.run_no and entries.idx = waits.idx
                and entries.op = 'waitEvent' and entries.status = 'waiting'
        )
    )
union all
select runs.id, 'its entry `' || entries.id || '` waits for an event, and no event finds it' as what
from runs
join entries on entries.run_no = runs.run_no and entries.op = 'waitEvent' and entries.status = 'waiting'
where runs.run_no between ?1 and ?2
    and runs.ended_at is null
    and not exists (select 1 from waits where waits.run_no = entries.run_no and waits.idx = entries.idx);
