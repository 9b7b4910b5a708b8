-- Of the runs of `source` those that pass every condition. What is null is not asked for.
select source.run_no, runs.status
from source
cross join runs on runs.run_no = source.run_no
where (?4 is null or runs.app = ?4)
    and (?5 is null or runs.function = ?5)
    and (?6 is null or runs.status in (select value from json_each(?6)))
    and (?7 is null or runs.deployment = ?7)
    and (?8 is null or runs.previous = ?8)
    and (?9 is null or runs.parent = ?9)
    and (?10 is null or coalesce(runs.root, runs.id) = ?10)
    and (?11 is null or runs.event = ?11)
    and (?12 is null or runs.trigger = ?12)
    and (?13 is null or runs.object_key = ?13)
    and (?20 is null or runs.schedule = ?20)
    and (?14 is null or runs.name between ?14 and ?15)
    -- No tag is wanted that it does not have.
    and (?16 is null or not exists (
        select 1
        from json_each(?16) wanted
        where not exists (
            select 1 from run_tags where run_tags.tag = wanted.value and run_tags.run_no = source.run_no
        )
    ))
    -- No test is there of which its attribute is in none of the ranges.
    and (?17 is null or runs.attributes is not null and not exists (
        select 1
        from (
            select
                test.value ->> 'ranges' as ranges,
                json_type(runs.attributes, test.value ->> 'path') as type,
                runs.attributes ->> (test.value ->> 'path') as value
            from json_each(?17) test
        ) attribute
        where not exists (
            select 1
            from json_each(attribute.ranges) range
            where attribute.type is not null
                and (range.value ->> 'kind' is null or range.value ->> 'kind'
                    = iif(attribute.type = 'text', 'text', iif(attribute.type in ('true', 'false'), 'boolean', 'number')))
                and (range.value ->> 'low' is null or attribute.value > range.value ->> 'low'
                    or range.value ->> 'lowInside' and attribute.value = range.value ->> 'low')
                and (range.value ->> 'high' is null or attribute.value < range.value ->> 'high'
                    or range.value ->> 'highInside' and attribute.value = range.value ->> 'high')
        )
    ))
    and (?18 is null
        or instr(lower(runs.id || char(10) || runs.app || '/' || runs.function || char(10) || coalesce(runs.name, '')
            || char(10) || coalesce(runs.object_key, '')), ?18) > 0
        -- Of what stands in JSON, ?19 is how the text would be written there: few rows are looked at more closely.
        or instr(lower(runs.tags), ?19) > 0
        and exists (select 1 from json_each(runs.tags) where instr(lower(value), ?18) > 0)
        or instr(lower(runs.attributes), ?19) > 0
        and exists (
            select 1
            from json_each(runs.attributes)
            where type in ('text', 'integer') and instr(lower(value), ?18) > 0
        )
    )
