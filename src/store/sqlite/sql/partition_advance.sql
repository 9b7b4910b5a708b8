-- Every commit's first statement: it changes a row only under the current epoch and directly after the last commit.
update partitions
set commit_no = ?2, now = ?3, run_no = max(run_no, ?4), event_seq = max(event_seq, ?5), message_no = max(message_no, ?7)
where partition = ?1 and commit_no = ?2 - 1
    and exists (select 1 from ownership where ownership.partition = ?1 and ownership.epoch = ?6);
