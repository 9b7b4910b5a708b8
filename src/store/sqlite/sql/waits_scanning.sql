-- Waits that have not looked through all older events.
select runs.id, w.run_no, w.idx, w.event, w.path, w.value, w.after_seq, w.scanned_to, w.scan_end, w.filter
from waits w
join runs on runs.run_no = w.run_no
where w.scanned_to is not null
order by w.run_no, w.idx;
