-- Runs between two numbers that have a tag or an attribute which does not lead to them.
select
    runs.id,
    'the tag `' || tag.value || '` does not lead to it' as what
from runs
cross join json_each(runs.tags) tag
where runs.run_no between ?1 and ?2
    and not exists (select 1 from run_tags where run_tags.tag = tag.value and run_tags.run_no = runs.run_no)
union all
select
    runs.id,
    'the attribute `' || attribute.key || '` does not lead to it'
from runs
cross join json_each(runs.attributes) attribute
where runs.run_no between ?1 and ?2
    and not exists (
        select 1
        from run_attributes
        where run_attributes.name = attribute.key
            and run_attributes.kind
                = iif(attribute.type = 'text', 'text', iif(attribute.type in ('true', 'false'), 'boolean', 'number'))
            and run_attributes.value = attribute.value
            and run_attributes.run_no = runs.run_no
    );
