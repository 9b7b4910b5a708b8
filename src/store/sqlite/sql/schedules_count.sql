-- How many schedules there are.
select count(*) from state where kind = 'schedule';
