-- Durable when this returns.
commit;
