-- The newest run of a chain, by its first run.
select id from runs where chain = ?1 order by run_no desc limit 1;
