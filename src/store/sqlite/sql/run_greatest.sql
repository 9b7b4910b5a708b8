-- The greatest number of a run that is kept.
select max(run_no) from runs;
