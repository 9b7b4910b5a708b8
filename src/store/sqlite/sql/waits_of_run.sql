-- A run's open waits by position.
select runs.id, w.run_no, w.idx, w.event, w.path, w.value, w.after_seq, w.scanned_to, w.scan_end, w.filter
from waits w
join runs on runs.run_no = w.run_no
where w.run_no = ?1
order by w.idx;
