-- What runs, entries and signals have learned since the first schema: invocations that are adopted after a restart,
-- objects and their queues, deadlines, chains of runs, heartbeats, replies to updates.

-- The greatest seq that an answer of a handler had seen.
alter table runs add column seen integer not null default 0;
-- The invocation that has been open for a while: its handler may still be at work after a restart of the server.
alter table runs add column open_token text;
-- The key of the object that the run belongs to.
alter table runs add column object_key text;
-- The line that the run waits in, and its place there.
alter table runs add column queue_key text;
alter table runs add column queue_order integer;
-- When the run fails if no handler has taken it up.
alter table runs add column start_by integer;
-- When the run fails if it has not ended.
alter table runs add column deadline integer;
-- The run that this one goes on from, and how: 'continue' or 'fork'.
alter table runs add column previous text;
alter table runs add column origin text;
-- The first run of the chain, of a run that another one ended itself for.
alter table runs add column chain text;
-- The run whose id chance follows from, of a run that copied another one's entries.
alter table runs add column seed text;
-- What the handler shows of the run to whoever asks.
alter table runs add column value blob;

create index runs_queue on runs (queue_key, queue_order) where queue_key is not null;
create index runs_previous on runs (previous) where previous is not null;
create index runs_chain on runs (chain, run_no) where chain is not null;

-- A name stands for the newest run of a chain.
drop index runs_name;
create unique index runs_name on runs (app, function, name) where name is not null and status <> 'continued';

-- Runs that are pinned to a deployment, by where they stand: how many are still on it is counted without the others.
create index runs_deployment on runs (deployment, status) where deployment is not null;

-- When a deployment was last found to be its app's newest, and what somebody wants to become of it: 'active', 'draining'
-- (retired as soon as its last run has ended), 'retired'.
alter table deployments add column seen_at integer not null default 0;
alter table deployments add column state text not null default 'active';

-- Functions of an app that are paused: a list of ids.
alter table apps add column paused blob;

-- What the last heartbeat of a step said.
alter table entries add column details blob;
-- Whether the entry was copied from the run that this one was forked from.
alter table entries add column copied integer not null default 0;

-- Whether the sender waits for a reply, and the reply.
alter table signals add column wants_reply integer not null default 0;
alter table signals add column reply_result text;
alter table signals add column reply blob;
alter table signals add column reply_no integer;

-- The state of objects: values under the key of an object, by name.
create table object_state (
    value_no integer primary key,
    app text not null,
    object text not null,
    key text not null,
    name text not null,
    -- Nothing when the run that holds the key took it away.
    value blob,
    -- Whether the run that holds the key has written here, and what it found: its invocations are shown that again.
    changed integer not null,
    before blob
) strict;

create unique index object_state_name on object_state (app, object, key, name);

-- One action on every run that a filter matches, and how far it has come: runs below `position` are still to come.
create table jobs (
    id text primary key,
    action text not null,
    filter blob not null,
    options blob not null,
    status text not null,
    total integer not null,
    done integer not null,
    failed integer not null,
    last_error text,
    position integer not null,
    created_at integer not null,
    ended_at integer
) strict, without rowid;
