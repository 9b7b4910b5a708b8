-- The run that a client named so: of a chain the newest, which the others went on to.
select id from runs where app = ?1 and function = ?2 and name = ?3 and status <> 'continued';
