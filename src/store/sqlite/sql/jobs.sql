-- Every job, newest first.
select id, action, filter, options, status, total, done, failed, last_error, position, created_at, ended_at
from jobs
order by id desc;
