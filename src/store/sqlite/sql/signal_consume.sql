-- An early signal found its wait, once.
update signals set consumed_by = ?3 where run_no = ?1 and position = ?2 and consumed_by is null;
