-- Runs of one status between two numbers.
select run_no from runs where status = ?21 and run_no >= ?2 and run_no < ?1
