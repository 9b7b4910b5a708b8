-- Runs with a timer in a window, after (?1, ?2), by time and id.
select wake_at, id from runs
where (wake_at, id) > (?1, ?2) and wake_at <= ?3
order by wake_at, id
limit ?4;
