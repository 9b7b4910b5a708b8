-- How many runs of one status are pinned to one deployment, between two numbers.
select count(*)
from runs
where run_no >= ?4 and run_no < ?1 and (?2 is null or app = ?2) and (?3 is null or function = ?3)
    and (?5 is null or previous = ?5) and deployment = ?6 and status = ?7;
