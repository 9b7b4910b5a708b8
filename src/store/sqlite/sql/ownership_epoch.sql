-- The epoch under which the partition is owned.
select epoch from ownership where partition = ?1;
