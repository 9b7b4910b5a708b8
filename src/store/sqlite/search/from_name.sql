-- Runs whose name begins with a text, between two numbers. The plus keeps the index on names in use.
select run_no from runs where name between ?14 and ?15 and +run_no >= ?2 and +run_no < ?1
