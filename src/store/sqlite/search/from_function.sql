-- Runs of one function between two numbers.
select run_no from runs where app = ?4 and function = ?5 and run_no >= ?2 and run_no < ?1
