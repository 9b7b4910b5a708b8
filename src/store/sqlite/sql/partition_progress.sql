-- How far the partition is.
select commit_no, now, run_no, event_seq, message_no from partitions where partition = ?1;
