-- The first run from a number on.
select run_no, created_at from runs where run_no >= ?1 order by run_no limit 1;
