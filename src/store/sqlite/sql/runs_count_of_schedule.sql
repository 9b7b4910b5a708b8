-- How many runs of one schedule there are between two numbers: of one status or of all.
select count(*)
from runs
where schedule = ?6 and run_no >= ?4 and run_no < ?1 and (?2 is null or app = ?2) and (?3 is null or function = ?3)
    and (?5 is null or previous = ?5) and (?7 is null or status = ?7) and (?8 is null or deployment = ?8);
