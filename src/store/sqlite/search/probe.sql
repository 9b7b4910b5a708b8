-- How many of them there are.
select count(*) from source
