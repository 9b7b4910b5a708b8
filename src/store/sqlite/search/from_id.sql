-- One run.
select run_no from runs where id = ?21 and run_no >= ?2 and run_no < ?1
