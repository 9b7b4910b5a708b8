-- Runs that a schedule started say which, and for which of its times. Schedules themselves are rows of `state`, of the kind
-- 'schedule'.

-- The schedule, as app/schedule, and the logical time.
alter table runs add column schedule text;
alter table runs add column scheduled_at integer;

create index runs_schedule on runs (schedule, run_no) where schedule is not null;
create index runs_tick on runs (schedule, scheduled_at, run_no) where schedule is not null;
