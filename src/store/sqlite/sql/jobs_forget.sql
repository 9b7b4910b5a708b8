-- Of the jobs that have ended only the newest are kept.
delete from jobs
where status <> 'running'
    and id not in (select id from jobs where status <> 'running' order by id desc limit ?1);
