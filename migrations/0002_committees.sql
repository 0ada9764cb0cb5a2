-- Committees and who sits on them.

create table committees (
    committee_id integer generated always as identity primary key,
    code         text not null unique check (code ~ '^[a-z-]+$'),
    name         text not null unique check (name <> ''),
    chamber      chamber not null,
    parent_id    integer,
    unique (committee_id, chamber),
    foreign key (parent_id, chamber) references committees (committee_id, chamber),
    check (parent_id <> committee_id)
);
comment on table committees is 'committees of a chamber; a sub-committee has a parent in the same chamber';
create index committees_parent on committees (parent_id, chamber);

create table committee_members (
    committee_id  integer not null references committees on delete cascade,
    legislator_id integer not null references legislators on delete cascade,
    position      text not null default 'member' check (position in ('chair', 'vice-chair', 'member')),
    primary key (committee_id, legislator_id)
);
comment on table committee_members is 'present members; a committee has at most one chair and one vice-chair';
create index committee_members_legislator on committee_members (legislator_id);
create unique index committee_members_one_lead on committee_members (committee_id, position) where position <> 'member';
