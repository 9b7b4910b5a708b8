-- Takes the write lock at once, so that nothing later fails for want of it.
begin immediate;
