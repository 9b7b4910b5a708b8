-- What may change of a run that has not ended; of one that has, only the work that is left after it. With ?22 it may have
-- labels: they are written by themselves, and an image without them must not leave what a row has. The statuses stand one by
-- one, because for a list of them SQLite builds a table at every update.
update runs
set status = ?3, deployment = ?4, started_at = ?5, ended_at = ?6, failures = ?7, losses = ?8, last_error = ?9,
    awaiting = ?10, hold = ?11, wake_at = ?12, cancel_by = ?13, mismatch_since = ?14, seen = ?15,
    open_token = ?16, queue_key = ?17, queue_order = ?18, start_by = ?19, deadline = ?20, value = ?21
where run_no = ?1 and id = ?2 and (?22 or tags is null and attributes is null)
  and (
    status <> 'completed' and status <> 'failed' and status <> 'cancelled' and status <> 'continued'
    or status = ?3 and ended_at = ?6
  );
