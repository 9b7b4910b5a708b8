-- Tags and attributes that lead to a run which does not have them.
select
    runs.id,
    'the tag `' || run_tags.tag || '` leads to run number ' || run_tags.run_no || ', which does not have it' as what
from run_tags
left join runs on runs.run_no = run_tags.run_no
where run_tags.tag not in (select value from json_each(runs.tags))
union all
select
    runs.id,
    'the attribute `' || run_attributes.name || '` leads to run number ' || run_attributes.run_no
    || ', which does not have that value'
from run_attributes
left join runs on runs.run_no = run_attributes.run_no
where not exists (
    select 1
    from json_each(runs.attributes) attribute
    where attribute.key = run_attributes.name
        and run_attributes.kind
            = iif(attribute.type = 'text', 'text', iif(attribute.type in ('true', 'false'), 'boolean', 'number'))
        and run_attributes.value = attribute.value
);
