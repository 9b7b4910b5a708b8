-- Proves that the database answers.
select commit_no from partitions where partition = 0;
