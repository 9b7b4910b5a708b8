-- The labels of a run that has not ended, if they are others.
update runs
set tags = ?2, attributes = ?3
where run_no = ?1 and (tags is not ?2 or attributes is not ?3);
