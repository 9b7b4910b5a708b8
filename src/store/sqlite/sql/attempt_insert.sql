-- A failed attempt is kept.
insert into attempts (run_no, idx, number, started_at, ended_at, error, error_no) values (?1, ?2, ?3, ?4, ?5, ?6, ?7);
