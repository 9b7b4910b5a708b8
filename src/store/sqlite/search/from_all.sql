-- Every run between two numbers.
select run_no from runs where run_no >= ?2 and run_no < ?1
