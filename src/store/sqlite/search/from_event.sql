-- Runs that one event started, and their forks, between two numbers.
select run_no from runs where event = ?11 and run_no >= ?2 and run_no < ?1
