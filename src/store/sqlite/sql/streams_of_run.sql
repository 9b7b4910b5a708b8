-- The places of a run's code that publish.
select run_no, source, attempt, token, next, channels from streams where run_no = ?1 order by source;
