-- Bills, the versions of their text, their sponsors and their way through the chambers.

create table topics (
    topic_id integer generated always as identity primary key,
    slug     text not null unique check (slug ~ '^[a-z-]+$'),
    name     text not null unique check (name <> '')
);
comment on table topics is 'policy areas';

create type bill_status as enum (
    'introduced', 'committee', 'floor', 'passed', 'failed', 'enacted', 'vetoed', 'withdrawn'
);

create table bills (
    bill_id       integer generated always as identity primary key,
    session       integer not null check (session between 1900 and 2200),
    number        text not null check (number ~ '^[HS]B [0-9]+$'),
    title         text not null check (title <> ''),
    summary       text not null default '',
    origin        chamber not null,
    status        bill_status not null default 'introduced',
    topic_id      integer references topics,
    committee_id  integer references committees,
    introduced_on date not null,
    updated_at    timestamptz not null default now(),
    search        tsvector generated always as (
        setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', summary), 'B')
    ) stored,
    unique (session, number),
    check ((number like 'H%') = (origin = 'house'))
);
comment on table bills is 'a proposal in a session; its status is that of its latest action';
create index bills_topic on bills (topic_id);
create index bills_committee on bills (committee_id);
create index bills_status on bills (status, introduced_on desc);
create index bills_search on bills using gin (search);
create index bills_title_trgm on bills using gin (title gin_trgm_ops);

create trigger bills_touch before update of title, summary, topic_id, committee_id on bills
    for each row execute function touch_updated_at();

create table bill_versions (
    bill_id      integer not null references bills on delete cascade,
    version      integer not null check (version > 0),
    label        text not null check (label in ('introduced', 'amended', 'engrossed', 'enrolled')),
    body         text not null check (body <> ''),
    published_on date not null,
    search       tsvector generated always as (setweight(to_tsvector('english', body), 'D')) stored,
    primary key (bill_id, version)
);
comment on table bill_versions is 'the text of a bill, version by version';
create index bill_versions_search on bill_versions using gin (search);

create table sponsors (
    bill_id       integer not null references bills on delete cascade,
    legislator_id integer not null references legislators,
    is_primary    boolean not null default false,
    joined_on     date not null,
    primary key (bill_id, legislator_id)
);
comment on table sponsors is 'who carries a bill; one of them is the primary sponsor';
create index sponsors_legislator on sponsors (legislator_id);
create unique index sponsors_one_primary on sponsors (bill_id) where is_primary;

create table bill_actions (
    action_id   bigint generated always as identity primary key,
    bill_id     integer not null references bills on delete cascade,
    status      bill_status not null,
    chamber     chamber,
    acted_on    date not null,
    description text not null default '',
    recorded_at timestamptz not null default now()
);
comment on table bill_actions is 'the history of a bill; chamber is null where the executive acts';
comment on column bill_actions.recorded_at is 'when we wrote it down, which may be long after acted_on';
create index bill_actions_bill on bill_actions (bill_id, acted_on, action_id);

create function set_bill_status() returns trigger
language plpgsql set search_path = chanuka, pg_temp as $$
begin
    update bills b
       set status = coalesce((select a.status from bill_actions a where a.bill_id = b.bill_id
                               order by a.acted_on desc, a.action_id desc limit 1), 'introduced'),
           updated_at = greatest(b.updated_at, new.recorded_at)
     where b.bill_id in (new.bill_id, old.bill_id);
    return null;
end
$$;
comment on function set_bill_status is 'trigger: a bill has the status of its latest action, whenever recorded';

create trigger bill_actions_set_status
    after insert or delete or update of bill_id, status, acted_on on bill_actions
    for each row execute function set_bill_status();
