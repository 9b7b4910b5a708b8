-- An entity is gone.
delete from state where kind = ?1 and key = ?2;
