-- Runs between two numbers that have not ended, and that nothing could make move: no timer, no place in a line, no hold with
-- its reason, no open wait, no child that lives.
select runs.id, 'it is ' || runs.status || ', and nothing will wake it' as what
from runs
where runs.run_no between ?1 and ?2
    and runs.ended_at is null
    and runs.wake_at is null
    and runs.queue_key is null
    and not (runs.status = 'paused' and runs.hold is not null)
    and not (
        runs.status = 'suspended'
        and exists (
            select 1
            from entries
            where entries.run_no = runs.run_no
                and entries.status = 'waiting'
                and (
                    entries.op = 'waitSignal'
                    or entries.op = 'waitEvent'
                    and exists (select 1 from waits where waits.run_no = entries.run_no and waits.idx = entries.idx)
                    or entries.op = 'invoke'
                    and exists (
                        select 1
                        from runs child
                        where child.parent = runs.id and child.parent_idx = entries.idx and child.ended_at is null
                    )
                )
        )
    );
