-- All places of runs' code that publish.
select run_no, source, attempt, token, next, channels from streams order by run_no, source;
