-- Runs of objects with one key, between two numbers.
select run_no from runs where object_key = ?13 and run_no >= ?2 and run_no < ?1
