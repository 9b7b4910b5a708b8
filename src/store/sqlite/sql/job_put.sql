-- A job begins, or has come further.
insert into jobs (
    id, action, filter, options, status, total, done, failed, last_error, position, created_at, ended_at
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
on conflict (id) do update set
    status = excluded.status, done = excluded.done, failed = excluded.failed, last_error = excluded.last_error,
    position = excluded.position, ended_at = excluded.ended_at;
