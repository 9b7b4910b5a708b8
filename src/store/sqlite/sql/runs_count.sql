-- How many runs there are.
select count(*) from runs where run_no > 0;
