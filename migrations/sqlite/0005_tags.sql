-- What people find runs by: tags and attributes, which stand in the run's row as JSON, and two tables that lead from one of
-- them to the runs that have it. The tables follow from the rows: triggers keep them so, whoever writes a row.

-- A list of texts; nothing when there are none.
alter table runs add column tags text;
-- An object of texts, numbers and booleans by name; nothing when there are none.
alter table runs add column attributes text;

create table run_tags (
    tag text not null,
    run_no integer not null,
    primary key (tag, run_no)
) strict, without rowid;

create table run_attributes (
    name text not null,
    -- 'text', 'number' or 'boolean': values of two kinds are never compared.
    kind text not null,
    -- A boolean is 0 or 1.
    value any not null,
    run_no integer not null,
    primary key (name, kind, value, run_no)
) strict, without rowid;

create trigger runs_tagged after insert on runs when new.tags is not null
begin
    insert into run_tags (tag, run_no) select value, new.run_no from json_each(new.tags);
end;

create trigger runs_tags_changed after update of tags on runs when new.tags is not old.tags
begin
    delete from run_tags where run_no = old.run_no and tag in (select value from json_each(old.tags));
    insert into run_tags (tag, run_no) select value, new.run_no from json_each(new.tags);
end;

create trigger runs_tags_gone after delete on runs when old.tags is not null
begin
    delete from run_tags where run_no = old.run_no and tag in (select value from json_each(old.tags));
end;

create trigger runs_described after insert on runs when new.attributes is not null
begin
    insert into run_attributes (name, kind, value, run_no)
    select key, iif(type = 'text', 'text', iif(type in ('true', 'false'), 'boolean', 'number')), value, new.run_no
    from json_each(new.attributes);
end;

create trigger runs_attributes_changed after update of attributes on runs when new.attributes is not old.attributes
begin
    delete from run_attributes
    where (name, kind, value, run_no) in (
        select key, iif(type = 'text', 'text', iif(type in ('true', 'false'), 'boolean', 'number')), value, old.run_no
        from json_each(old.attributes)
    );
    insert into run_attributes (name, kind, value, run_no)
    select key, iif(type = 'text', 'text', iif(type in ('true', 'false'), 'boolean', 'number')), value, new.run_no
    from json_each(new.attributes);
end;

create trigger runs_attributes_gone after delete on runs when old.attributes is not null
begin
    delete from run_attributes
    where (name, kind, value, run_no) in (
        select key, iif(type = 'text', 'text', iif(type in ('true', 'false'), 'boolean', 'number')), value, old.run_no
        from json_each(old.attributes)
    );
end;

-- What lists are asked for, and few runs have.
create index runs_key on runs (object_key) where object_key is not null;
create index runs_root on runs (root) where root is not null;
create index runs_named on runs (name) where name is not null;

drop view v_runs;
create view v_runs as
select
    runs.run_no,
    runs.id,
    runs.app || '/' || runs.function as function,
    runs.name,
    runs.status,
    runs.trigger,
    runs.event,
    runs.parent,
    coalesce(runs.root, runs.id) as root,
    runs.deployment,
    strftime('%Y-%m-%dT%H:%M:%fZ', runs.created_at / 1000.0, 'unixepoch') as created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', runs.started_at / 1000.0, 'unixepoch') as started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', runs.ended_at / 1000.0, 'unixepoch') as ended_at,
    runs.ended_at - runs.created_at as took_ms,
    cast(coalesce(first.outcome, input.body) as text) as input,
    last.result as result,
    cast(coalesce(last.outcome, output.body) as text) as outcome,
    cast(runs.last_error as text) as last_error,
    cast(runs.hold as text) as hold,
    runs.object_key,
    runs.tags,
    runs.attributes
from runs
left join entries first on first.run_no = runs.run_no and first.idx = 0
left join payloads input on input.payload_no = first.outcome_no
left join entries last
    on last.run_no = runs.run_no and runs.ended_at is not null and last.op = 'outcome'
    and last.idx = (select max(idx) from entries where entries.run_no = runs.run_no)
left join payloads output on output.payload_no = last.outcome_no;
