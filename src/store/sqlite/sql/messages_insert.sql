-- Messages were published, or it is said that some were cut.
insert into messages (message_no, first, channel, run_no, source, attempt, topic, data, at)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);
