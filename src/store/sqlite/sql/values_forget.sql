-- The run that held a key has ended: what it took away is gone for good.
delete from object_state
where app = ?1 and object = ?2 and key = ?3 and value is null;
