-- Runs of one family without its first, between two numbers.
select run_no from runs where root = ?10 and run_no >= ?2 and run_no < ?1
