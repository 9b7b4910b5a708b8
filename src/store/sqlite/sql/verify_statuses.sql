-- Runs between two numbers whose row contradicts itself, or the end of their journal.
select found.id, found.what
from (
    select
        runs.id,
        case
            when (runs.status in ('completed', 'failed', 'cancelled', 'continued')) <> (runs.ended_at is not null)
                then 'it is ' || runs.status || ', and ' || iif(runs.ended_at is null, 'has no end', 'has ended')
            when runs.ended_at is not null and (runs.hold is not null or runs.queue_key is not null or runs.cancel_by is not null)
                then 'it has ended, and is still held, in a line, or being cancelled'
            when (runs.status = 'paused') <> (runs.hold is not null)
                then 'it is ' || runs.status || ', and has ' || iif(runs.hold is null, 'no reason', 'a hold')
            when runs.open_token is not null and runs.status <> 'ready'
                then 'it is ' || runs.status || ', and an invocation is noted as open'
            when (runs.queue_key is null) <> (runs.queue_order is null)
                then 'it has half a place in a line'
            when runs.ended_at is not null
                and not exists (select 1 from entries where entries.run_no = runs.run_no and entries.op = 'outcome')
                then 'it is ' || runs.status || ', and has no outcome'
            when runs.status = 'continued'
                and 1 <> (select count(*) from runs next where next.previous = runs.id and next.origin = 'continue')
                then 'it went on in a new run, and there is none, or two'
            when runs.ended_at is null
                and exists (select 1 from entries where entries.run_no = runs.run_no and entries.op = 'outcome')
                then 'it is ' || runs.status || ', and has an outcome'
        end as what
    from runs
    where runs.run_no between ?1 and ?2
) found
where found.what is not null;
