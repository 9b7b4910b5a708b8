-- A place of a run's code publishes no more.
delete from streams where run_no = ?1 and source = ?2;
