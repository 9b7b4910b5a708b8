-- What handlers publish while they work.

-- The greatest number ever given to a message.
alter table partitions add column message_no integer not null default 0;

-- Messages in the order in which they were taken: a row holds those that were published together, and its number is
-- that of the last of them. One without data says that messages were cut, from `first` on.
create table messages (
    message_no integer primary key,
    first integer not null,
    -- The channel's name; `$` and the run's id for the run's own.
    channel text not null,
    run_no integer not null,
    -- The id of the step that said it; `$publish` with scopes before it for the handler.
    source text not null,
    attempt integer,
    topic text not null,
    data blob,
    -- The number of the notice that says that these were cut: the attempt that said them came to nothing.
    cut_by integer,
    at integer not null
) strict;

create index messages_channel on messages (channel);

-- How far each place of a run's code has come with what it publishes, while more may follow.
create table streams (
    run_no integer not null,
    source text not null,
    attempt integer,
    token text,
    next integer not null,
    channels blob not null,
    primary key (run_no, source)
) strict, without rowid;

create view v_messages as
select
    messages.message_no,
    messages.first,
    messages.channel,
    runs.id as run,
    messages.source,
    messages.attempt,
    messages.topic,
    cast(messages.data as text) as data,
    messages.cut_by,
    strftime('%Y-%m-%dT%H:%M:%fZ', messages.at / 1000.0, 'unixepoch') as at
from messages
join runs on runs.run_no = messages.run_no;
