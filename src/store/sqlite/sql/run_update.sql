-- What may change of a run that has not ended; of one that has, only the work that is left after it.
update runs
set status = ?3, deployment = ?4, started_at = ?5, ended_at = ?6, failures = ?7, losses = ?8, last_error = ?9,
    awaiting = ?10, hold = ?11, wake_at = ?12, cancel_by = ?13, mismatch_since = ?14, seen = ?15,
    open_token = ?16, queue_key = ?17, queue_order = ?18, start_by = ?19, deadline = ?20, value = ?21,
    tags = ?22, attributes = ?23
where run_no = ?1 and id = ?2
  and (status not in ('completed', 'failed', 'cancelled', 'continued') or status = ?3 and ended_at = ?6);
