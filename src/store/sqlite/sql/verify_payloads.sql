-- Large payloads whose number of uses is not the number of rows that refer to them, and references to nothing.
with
refers (payload_no) as (
    select params_no from entries where params_no is not null
    union all
    select outcome_no from entries where outcome_no is not null
    union all
    select error_no from attempts where error_no is not null
    union all
    select data_no from events where data_no is not null
    union all
    select payload_no from signals where payload_no is not null
    union all
    select reply_no from signals where reply_no is not null
),
counted (payload_no, uses) as (select payload_no, count(*) from refers group by payload_no)
select
    null as id,
    'payload ' || payloads.payload_no || ' says ' || payloads.uses || ' uses, and has ' || coalesce(counted.uses, 0) as what
from payloads
left join counted on counted.payload_no = payloads.payload_no
where payloads.uses <> coalesce(counted.uses, 0)
union all
select null as id, 'payload ' || counted.payload_no || ' is referred to, and does not exist' as what
from counted
where not exists (select 1 from payloads where payloads.payload_no = counted.payload_no);
