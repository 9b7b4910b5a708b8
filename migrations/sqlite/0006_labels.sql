-- A run's labels are written by a statement of their own, and the triggers that lead from them to the run hang on that one
-- alone: with a trigger on a run's beginning, SQLite keeps a journal for the statement, and that cost every run, labelled or not.
drop trigger runs_tagged;
drop trigger runs_described;
