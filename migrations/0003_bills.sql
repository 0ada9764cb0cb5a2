-- Bills, the versions of their text, their sponsors and their way through the chambers.

create type bill_status as enum ('introduced', 'committee', 'floor', 'passed', 'failed', 'enacted', 'vetoed', 'withdrawn');

create table topics (
    topic_id integer generated always as identity primary key,
    slug     text not null unique check (slug ~ '^[a-z-]+$'),
    name     text not null unique
);
comment on table topics is 'policy areas';

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
comment on table bills is 'a proposal in a session; status is the last entry of bill_actions';
create index bills_topic on bills (topic_id);
create index bills_committee on bills (committee_id);
create index bills_status on bills (status, introduced_on desc);
create index bills_search on bills using gin (search);
create index bills_title_trgm on bills using gin (title gin_trgm_ops);

create table bill_versions (
    bill_id      integer not null references bills on delete cascade,
    version      integer not null check (version > 0),
    label        text not null check (label in ('introduced', 'amended', 'engrossed', 'enrolled')),
    body         text not null,
    published_on date not null,
    search       tsvector generated always as (to_tsvector('english', body)) stored,
    primary key (bill_id, version)
);
comment on table bill_versions is 'the text of a bill, version by version';
create index bill_versions_search on bill_versions using gin (search);

create table bill_actions (
    action_id   bigint generated always as identity primary key,
    bill_id     integer not null references bills on delete cascade,
    status      bill_status not null,
    acted_on    date not null,
    description text not null default ''
);
comment on table bill_actions is 'what happened to a bill; each entry moves its status';
create index bill_actions_bill on bill_actions (bill_id, acted_on, action_id);

create table sponsors (
    bill_id       integer not null references bills on delete cascade,
    legislator_id integer not null references legislators,
    is_primary    boolean not null default false,
    joined_on     date not null,
    primary key (bill_id, legislator_id)
);
comment on table sponsors is 'who carries a bill; one of them first';
create index sponsors_legislator on sponsors (legislator_id);
create unique index sponsors_one_primary on sponsors (bill_id) where is_primary;

-- A new entry moves the bill; an older one that is written down later does not.
create function follow_bill_action() returns trigger language plpgsql as $$
begin
    update bills b
       set status = new.status, updated_at = greatest(b.updated_at, new.acted_on::timestamptz)
     where b.bill_id = new.bill_id
       and not exists (select from bill_actions a where a.bill_id = new.bill_id and a.acted_on > new.acted_on);
    return null;
end
$$;
create trigger bill_actions_follow after insert on bill_actions for each row execute function follow_bill_action();
