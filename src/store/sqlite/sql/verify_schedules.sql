-- Schedules that are not paused and that nothing will wake: one has a time to come, or ticks that wait for a run which has ended.
select
    null as id,
    'the schedule `' || replace(schedules.key, char(31), '/') || '` '
    || iif(
        schedules.wake_at is null and schedules.next is not null,
        'has a tick at ' || schedules.next || ', and nothing wakes it',
        'has ticks that wait for the end of ' || coalesce(schedules.running, 'nothing') || ', which goes on no longer'
    ) as what,
    schedules.key as key
from (
    select
        key,
        wake_at,
        cast(value as text) ->> 'next' as next,
        cast(value as text) ->> 'running' as running,
        json_array_length(cast(value as text), '$.waiting') as waiting
    from state
    where kind = 'schedule' and cast(value as text) ->> 'paused' is null
) schedules
where schedules.wake_at is null and schedules.next is not null
    or coalesce(schedules.waiting, 0) > 0
    and coalesce(schedules.wake_at, -1) <> 0
    and not exists (
        select 1
        from runs
        where (runs.id = schedules.running or runs.chain = schedules.running) and runs.ended_at is null
    );
