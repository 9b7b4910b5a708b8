-- Early signals of runs between two numbers: what was taken was taken by an entry, and nothing waits for what was not.
select
    runs.id,
    case
        when runs.id is null then 'a signal belongs to run number ' || signals.run_no || ', which does not exist'
        when signals.consumed_by is not null then 'its signal `' || signals.name || '` was taken by no entry'
        else 'its signal `' || signals.name || '` has come, and an entry still waits for it'
    end as what
from signals
left join runs on runs.run_no = signals.run_no
where signals.run_no between ?1 and ?2
    and (
        runs.id is null
        or signals.consumed_by is not null
        and not exists (
            select 1 from entries where entries.run_no = signals.run_no and entries.idx = signals.consumed_by
        )
        or signals.consumed_by is null
        and runs.ended_at is null
        and exists (
            select 1
            from entries
            where entries.run_no = signals.run_no
                and entries.op = 'waitSignal'
                and entries.status = 'waiting'
                and entries.params is not null
                and signals.name = case
                    when cast(entries.params as text) ->> 'awakeable' then '$awakeable/' || entries.id
                    when cast(entries.params as text) ->> 'update'
                        then '$update/' || (cast(entries.params as text) ->> 'signal')
                    else cast(entries.params as text) ->> 'signal'
                end
        )
    );
