-- Runs between two numbers that wake later than something of theirs is due. One that is to be invoked has 0, and so has one that
-- the server makes a call for.
select
    due.id,
    'it is ' || due.status || ' and wakes at ' || coalesce(due.wake_at, 'no time')
        || case due.status when 'ready' then ', and not at once' else ', and something is due at ' || due.at end as what
from (
    select
        runs.id,
        runs.status,
        runs.wake_at,
        min(
            coalesce(runs.cancel_by, 9223372036854775807),
            coalesce(runs.start_by, 9223372036854775807),
            -- A run that has failed takes as long as it takes to put things right.
            iif(
                exists (select 1 from entries where entries.run_no = runs.run_no and entries.id = '$failure'),
                9223372036854775807,
                coalesce(runs.deadline, 9223372036854775807)
            ),
            -- While a run is tried again later, its entries wait for that.
            iif(
                runs.status in ('suspended', 'paused'),
                coalesce(
                    (
                        select
                            min(
                                iif(
                                    runs.status = 'suspended' and entries.op = 'fetch' and entries.status = 'waiting',
                                    0,
                                    entries.due_at
                                )
                            )
                        from entries
                        where entries.run_no = runs.run_no and entries.status <> 'settled'
                    ),
                    9223372036854775807
                ),
                9223372036854775807
            )
        ) as at
    from runs
    where runs.run_no between ?1 and ?2 and runs.ended_at is null
) due
where case due.status
    when 'ready' then due.wake_at is not 0
    else due.at < 9223372036854775807 and (due.wake_at is null or due.wake_at > due.at)
end;
