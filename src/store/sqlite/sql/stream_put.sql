-- How far a place of a run's code has come with what it publishes.
insert into streams (run_no, source, attempt, token, next, channels) values (?1, ?2, ?3, ?4, ?5, ?6)
on conflict (run_no, source) do update
set attempt = excluded.attempt, token = excluded.token, next = excluded.next, channels = excluded.channels;
