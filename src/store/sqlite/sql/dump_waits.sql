-- Every open wait by run and position.
select runs.id, w.run_no, w.idx, w.event, w.path, w.value, w.after_seq, w.scanned_to, w.scan_end, w.filter
from waits w
join runs on runs.run_no = w.run_no
order by w.run_no, w.idx;
