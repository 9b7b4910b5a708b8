-- The times of a schedule from ?2 on and before ?3 that have a run, in order, each with its newest run.
select tick.scheduled_at, tick.id, tick.status
from runs tick
where tick.schedule = ?1 and tick.scheduled_at >= ?2 and tick.scheduled_at < ?3
    and tick.run_no = (
        select max(other.run_no)
        from runs other
        where other.schedule = tick.schedule and other.scheduled_at = tick.scheduled_at
    )
order by tick.scheduled_at
limit ?4;
