-- How many of them there are, by status.
select
    count(*) filter (where status = 'queued') as queued,
    count(*) filter (where status = 'ready') as ready,
    count(*) filter (where status = 'suspended') as suspended,
    count(*) filter (where status = 'backoff') as backoff,
    count(*) filter (where status = 'paused') as paused,
    count(*) filter (where status = 'completed') as completed,
    count(*) filter (where status = 'failed') as failed,
    count(*) filter (where status = 'cancelled') as cancelled,
    count(*) filter (where status = 'continued') as continued
from matching
