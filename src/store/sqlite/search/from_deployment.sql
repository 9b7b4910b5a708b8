-- Runs of one status that are pinned to one deployment, between two numbers.
select run_no from runs where deployment = ?7 and status = ?21 and run_no >= ?2 and run_no < ?1
