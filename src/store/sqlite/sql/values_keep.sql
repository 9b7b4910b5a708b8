-- The run that held a key has ended: what it found there is forgotten.
update object_state
set changed = 0, before = null
where app = ?1 and object = ?2 and key = ?3 and changed = 1 and value is not null;
