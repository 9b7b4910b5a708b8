-- The triggers that said no to an event.
select app, function, verdict, detail from verdicts where event_seq = ?1 order by app, function;
