-- A signal came early.
insert into signals (run_no, position, name, id, result, payload, payload_no, at, consumed_by, wants_reply)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10);
