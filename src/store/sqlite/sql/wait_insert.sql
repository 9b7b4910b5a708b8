-- A wait for an event opens.
insert into waits (run_no, idx, event, path, value, after_seq, scanned_to, scan_end, filter)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);
