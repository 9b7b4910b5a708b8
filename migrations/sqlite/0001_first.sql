-- The tables of a database with one partition. Hot tables are append-only, with integer keys in the order of insertion:
-- a step that finishes at its first report is one appended row and one entry of one index. Words, not numbers, stand
-- for statuses and kinds; ids are the texts that people know; times are milliseconds since 1970, UTC. Payloads are the
-- bytes of JSON as they came in: in the column, or from 16 KiB on in `payloads`, with the number in the column `*_no`.
-- docs/operating/sql.md describes every table for the people who read them.

-- Who owns the partition. Written by a takeover only, and compared inside every commit.
create table ownership (
    partition integer primary key,
    epoch integer not null
) strict;

-- How far the partition is: written by every commit, in the same transaction.
create table partitions (
    partition integer primary key,
    commit_no integer not null,
    now integer not null,
    -- The greatest numbers ever given, kept here because rows age and go.
    run_no integer not null,
    event_seq integer not null
) strict;

insert into ownership (partition, epoch) values (0, 0);
insert into partitions (partition, commit_no, now, run_no, event_seq) values (0, 0, 0, 0, 0);

-- One durable execution of a function: a narrow row, its input is entry 0 and its outcome its last entry.
create table runs (
    run_no integer primary key,
    id text not null,
    app text not null,
    function text not null,
    name text,
    status text not null,
    trigger text not null,
    event text,
    born_seq integer not null,
    parent text,
    parent_idx integer,
    -- Nothing when the run is the first of its family.
    root text,
    deployment text,
    created_at integer not null,
    started_at integer not null,
    ended_at integer,
    failures integer not null,
    losses integer not null,
    last_error blob,
    awaiting blob,
    hold blob,
    wake_at integer,
    cancel_by integer,
    mismatch_since integer
) strict;

create unique index runs_id on runs (id);
create unique index runs_name on runs (app, function, name) where name is not null;
create index runs_function on runs (app, function);
create index runs_status on runs (status);
create index runs_event on runs (event) where event is not null;
create index runs_parent on runs (parent) where parent is not null;
create index runs_wake on runs (wake_at, id) where wake_at is not null;

-- One record of a run's journal. The engine gives no two entries of a run the same id.
create table entries (
    entry_no integer primary key,
    run_no integer not null,
    idx integer not null,
    id text not null,
    op text not null,
    name text,
    status text not null,
    seq integer,
    params blob,
    params_no integer,
    result text,
    outcome blob,
    outcome_no integer,
    due_at integer,
    failures integer not null,
    last_error blob,
    deployment text,
    child text,
    created_at integer not null,
    settled_at integer
) strict;

create unique index entries_position on entries (run_no, idx);

-- Failed attempts: of a step, or without an entry's position of an invocation.
create table attempts (
    attempt_no integer primary key,
    run_no integer not null,
    idx integer,
    number integer not null,
    started_at integer not null,
    ended_at integer not null,
    error blob,
    error_no integer
) strict;

create index attempts_run on attempts (run_no);

-- Accepted events in the order of acceptance.
create table events (
    seq integer primary key,
    id text not null,
    name text not null,
    data blob,
    data_no integer,
    at integer not null,
    client_id text,
    source text
) strict;

create unique index events_id on events (id);
create index events_name on events (name);

-- Why an event started no run of a function that it triggers. What it did start says so itself, in runs.event.
create table verdicts (
    event_seq integer not null,
    app text not null,
    function text not null,
    verdict text not null,
    detail text,
    primary key (event_seq, app, function)
) strict, without rowid;

-- Open waits for events, found by an event's name and the digest of one of its values.
create table waits (
    run_no integer not null,
    idx integer not null,
    event text not null,
    path text not null,
    value integer not null,
    after_seq integer not null,
    scanned_to integer,
    scan_end integer not null,
    filter blob,
    primary key (run_no, idx)
) strict, without rowid;

create index waits_index on waits (event, path, value);
create index waits_scanning on waits (run_no, idx) where scanned_to is not null;

-- Signals that came before anything waited for them.
create table signals (
    signal_no integer primary key,
    run_no integer not null,
    position integer not null,
    name text not null,
    id text,
    result text not null,
    payload blob,
    payload_no integer,
    at integer not null,
    consumed_by integer
) strict;

create unique index signals_position on signals (run_no, position);

-- Every other entity, under a kind and a key that the server makes.
create table state (
    kind text not null,
    key text not null,
    wake_at integer,
    value blob not null,
    primary key (kind, key)
) strict, without rowid;

create index state_wake on state (wake_at, kind, key) where wake_at is not null;

-- Large payloads, written once; `uses` counts the rows that refer to one.
create table payloads (
    payload_no integer primary key,
    uses integer not null,
    body blob not null
) strict;

create table apps (
    name text primary key,
    url text not null,
    headers blob not null,
    current text,
    created_at integer not null,
    synced_at integer,
    sync_error text
) strict, without rowid;

create table deployments (
    id text primary key,
    app text not null,
    url text not null,
    manifest blob not null,
    created_at integer not null
) strict, without rowid;

create table settings (
    name text primary key,
    value blob not null
) strict, without rowid;

-- For people and their tools: times as text, payloads as JSON, everything under one id. Read only.
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
    cast(runs.hold as text) as hold
from runs
left join entries first on first.run_no = runs.run_no and first.idx = 0
left join payloads input on input.payload_no = first.outcome_no
left join entries last
    on last.run_no = runs.run_no and runs.ended_at is not null and last.op = 'outcome'
    and last.idx = (select max(idx) from entries where entries.run_no = runs.run_no)
left join payloads output on output.payload_no = last.outcome_no;

create view v_steps as
select
    runs.id as run,
    runs.app || '/' || runs.function as function,
    entries.idx,
    entries.id,
    coalesce(entries.name, entries.id) as name,
    entries.op,
    entries.status,
    entries.seq,
    entries.result,
    cast(coalesce(entries.params, given.body) as text) as params,
    cast(coalesce(entries.outcome, body.body) as text) as outcome,
    entries.failures,
    cast(entries.last_error as text) as last_error,
    entries.child,
    entries.deployment,
    strftime('%Y-%m-%dT%H:%M:%fZ', entries.created_at / 1000.0, 'unixepoch') as created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', entries.due_at / 1000.0, 'unixepoch') as due_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', entries.settled_at / 1000.0, 'unixepoch') as settled_at,
    entries.settled_at - entries.created_at as took_ms
from entries
join runs on runs.run_no = entries.run_no
left join payloads given on given.payload_no = entries.params_no
left join payloads body on body.payload_no = entries.outcome_no;

create view v_waiting as
select
    runs.id as run,
    runs.app || '/' || runs.function as function,
    runs.status,
    entries.idx,
    entries.id,
    coalesce(entries.name, entries.id) as name,
    entries.op,
    entries.status as entry_status,
    waits.event,
    entries.child,
    cast(entries.params as text) as params,
    strftime('%Y-%m-%dT%H:%M:%fZ', entries.created_at / 1000.0, 'unixepoch') as since,
    strftime('%Y-%m-%dT%H:%M:%fZ', nullif(entries.due_at, 0) / 1000.0, 'unixepoch') as until,
    cast(runs.hold as text) as hold
from runs
left join entries on entries.run_no = runs.run_no and entries.status <> 'settled'
left join waits on waits.run_no = entries.run_no and waits.idx = entries.idx
where runs.status in ('suspended', 'backoff', 'paused', 'ready', 'queued');
