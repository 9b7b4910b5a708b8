-- An entry is appended, settled or not.
insert into entries (
    run_no, idx, id, op, name, status, seq, params, params_no, result, outcome, outcome_no, due_at, failures,
    last_error, deployment, child, created_at, settled_at, details, copied
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
    ?20, ?21);
