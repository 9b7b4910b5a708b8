-- A signal found its wait, or its sender gets a reply: each happens once.
update signals set consumed_by = ?3, reply_result = ?4, reply = ?5, reply_no = ?6
where run_no = ?1 and position = ?2 and (consumed_by is null or consumed_by = ?3) and reply_result is null;
