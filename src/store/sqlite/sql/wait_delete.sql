-- A wait for an event closes.
delete from waits where run_no = ?1 and idx = ?2;
