-- Runs of one schedule between two numbers.
select run_no from runs where schedule = ?20 and run_no >= ?2 and run_no < ?1
