-- Keys of objects whose lock contradicts the runs: a holder that does not live, a line of another length, a key that nobody holds
-- and nothing passes on, a line without a lock.
with
locks (key, wake_at, holder, waiting) as (
    select key, wake_at, cast(value as text) ->> 'holder', cast(value as text) ->> 'waiting'
    from state
    where kind = 'object'
),
lines (key, waiting) as (select queue_key, count(*) from runs where queue_key is not null group by queue_key)
select locks.holder as id, 'it holds a key, and ' || iif(runs.id is null, 'does not exist', 'has ended') as what
from locks
left join runs on runs.id = locks.holder
where locks.holder is not null and (runs.id is null or runs.ended_at is not null)
union all
select
    locks.holder as id,
    'the lock of `' || replace(locks.key, char(31), ' ') || '` says that ' || locks.waiting || ' runs wait, and '
    || coalesce(lines.waiting, 0) || ' do' as what
from locks
left join lines on lines.key = locks.key
where locks.waiting <> coalesce(lines.waiting, 0)
union all
select null as id, 'nobody holds `' || replace(locks.key, char(31), ' ') || '`, and nothing passes it on' as what
from locks
where locks.holder is null and locks.wake_at is null
union all
select null as id, 'runs wait for `' || replace(lines.key, char(31), ' ') || '`, which has no lock' as what
from lines
where not exists (select 1 from locks where locks.key = lines.key);
