-- A run begins; its labels follow.
insert into runs (
    run_no, id, app, function, name, status, trigger, event, born_seq, parent, parent_idx, root, deployment,
    created_at, started_at, ended_at, failures, losses, last_error, awaiting, hold, wake_at, cancel_by, mismatch_since,
    seen, open_token, object_key, queue_key, queue_order, start_by, deadline, previous, origin, chain, seed, value,
    schedule, scheduled_at
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24,
    ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38);
