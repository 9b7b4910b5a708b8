-- Runs between two numbers whose journal has gaps: in its positions, in the order of its settlements, or in an entry.
select found.id, found.what
from (
    select
        runs.id,
        case
            when journal.entries is null then 'it has no journal'
            when journal.least <> 0 or journal.greatest <> journal.entries - 1
                then 'it has ' || journal.entries || ' entries at positions ' || journal.least || ' to ' || journal.greatest
            when journal.inputs <> 1 then 'its first entry is not its input'
            when journal.outcome < journal.greatest then 'an entry stands behind its outcome'
            when journal.settled <> coalesce(journal.last, 0) or journal.settled <> journal.distinct_settled
                then journal.settled || ' entries settled, the last as number ' || coalesce(journal.last, 0)
            when journal.halves > 0 then journal.halves || ' entries are settled by half'
        end as what
    from runs
    left join (
        select
            entries.run_no,
            count(*) as entries,
            min(entries.idx) as least,
            max(entries.idx) as greatest,
            sum(entries.idx = 0 and entries.op = 'input') as inputs,
            min(iif(entries.op = 'outcome', entries.idx, null)) as outcome,
            count(entries.seq) as settled,
            max(entries.seq) as last,
            count(distinct entries.seq) as distinct_settled,
            sum(
                (entries.status = 'settled') <> (entries.result is not null)
                or (entries.status = 'settled') <> (entries.settled_at is not null)
                or (entries.status = 'settled' and entries.idx > 0) <> (entries.seq is not null)
            ) as halves
        from entries
        where entries.run_no between ?1 and ?2
        group by entries.run_no
    ) journal on journal.run_no = runs.run_no
    where runs.run_no between ?1 and ?2
) found
where found.what is not null;
