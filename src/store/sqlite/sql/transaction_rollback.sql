-- Nothing of the transaction was.
rollback;
