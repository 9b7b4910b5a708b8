-- What may change of an entry that is not settled.
update entries
set status = ?3, seq = ?4, result = ?5, outcome = ?6, outcome_no = ?7, due_at = ?8, failures = ?9, last_error = ?10,
    child = ?11, settled_at = ?12, details = ?13
where run_no = ?1 and idx = ?2 and status <> 'settled';
