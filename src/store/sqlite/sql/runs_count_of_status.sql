-- How many runs of one status there are between two numbers: an index alone knows.
select count(*) from runs where run_no >= ?2 and run_no < ?1 and status = ?3;
