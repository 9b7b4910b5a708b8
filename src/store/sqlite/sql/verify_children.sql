-- Calls between runs, for those between two numbers: an open call has one child that lives, and a child that lives has an open
-- call, unless its parent has ended or waited long enough.
select runs.id, 'its entry `' || entries.id || '` waits for a child run, and none is under way' as what
from runs
join entries on entries.run_no = runs.run_no and entries.op = 'invoke' and entries.status <> 'settled'
where runs.run_no between ?1 and ?2
    and runs.ended_at is null
    and 1 <> (
        select count(*)
        from runs child
        where child.parent = runs.id and child.parent_idx = entries.idx and child.ended_at is null
    )
union all
select runs.id, 'its parent ' || runs.parent || ' does not wait for it' as what
from runs
join runs parent on parent.id = runs.parent and parent.ended_at is null
left join entries on entries.run_no = parent.run_no and entries.idx = runs.parent_idx
where runs.run_no between ?1 and ?2
    and runs.ended_at is null
    and (entries.op is not 'invoke' or entries.status = 'settled' and entries.result <> 'timeout');
