-- Runs that go on from one run, between two numbers.
select run_no from runs where previous = ?8 and run_no >= ?2 and run_no < ?1
