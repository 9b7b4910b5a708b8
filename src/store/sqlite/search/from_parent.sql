-- Runs that one run waits for, between two numbers.
select run_no from runs where parent = ?9 and run_no >= ?2 and run_no < ?1
