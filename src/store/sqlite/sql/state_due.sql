-- Other entities with a timer in a window, after (?1, ?2, ?3), by time and key.
select wake_at, kind, key from state
where (wake_at, kind, key) > (?1, ?2, ?3) and wake_at <= ?4
order by wake_at, kind, key
limit ?5;
