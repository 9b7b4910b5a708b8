-- A trigger said no to an event.
insert into verdicts (event_seq, app, function, verdict, detail)
values ((select seq from events where id = ?1), ?2, ?3, ?4, ?5);
