-- A wait's progress through older events.
update waits set scanned_to = ?3 where run_no = ?1 and idx = ?2;
