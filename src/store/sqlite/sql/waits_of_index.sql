-- The open waits that an event finds under one index key.
select runs.id, w.run_no, w.idx, w.event, w.path, w.value, w.after_seq, w.scanned_to, w.scan_end, w.filter
from waits w
join runs on runs.run_no = w.run_no
where w.event = ?1 and w.path = ?2 and w.value = ?3
order by w.run_no, w.idx;
