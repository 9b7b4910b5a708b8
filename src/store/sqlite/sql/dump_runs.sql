-- Every run by number.
select
    runs.run_no, runs.id, runs.app, runs.function, runs.name, runs.status, runs.trigger, runs.event, runs.born_seq,
    runs.parent, runs.parent_idx, runs.root, runs.deployment, runs.created_at, runs.started_at, runs.ended_at,
    runs.failures, runs.losses, runs.last_error, runs.awaiting, runs.hold, runs.wake_at, runs.cancel_by,
    runs.mismatch_since, runs.seen, runs.open_token, runs.object_key, runs.queue_key, runs.queue_order,
    runs.start_by, runs.deadline, runs.previous, runs.origin, runs.chain, runs.seed, runs.value,
    runs.schedule, runs.scheduled_at, runs.tags, runs.attributes
from runs
order by runs.run_no;
