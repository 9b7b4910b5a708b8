-- What a place of a run's code has said on a channel from a number on is cut.
update messages set cut_by = ?5
where channel = ?1 and message_no >= ?4 and run_no = ?2 and source = ?3 and data is not null and cut_by is null;
