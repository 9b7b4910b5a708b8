-- A takeover: the epoch grows by one.
update ownership set epoch = epoch + 1 where partition = ?1
returning epoch;
