-- The run that a client named so.
select id from runs where app = ?1 and function = ?2 and name = ?3;
