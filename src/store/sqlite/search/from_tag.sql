-- Runs that have one tag, between two numbers.
select run_no from run_tags where tag = ?21 and run_no >= ?2 and run_no < ?1
