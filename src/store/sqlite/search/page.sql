-- The newest of them.
select run_no from matching order by run_no desc limit ?3
