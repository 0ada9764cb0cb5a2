-- Roll calls and how each legislator voted.

create type vote_choice as enum ('yea', 'nay', 'present', 'absent');

create table votes (
    vote_id  integer generated always as identity primary key,
    bill_id  integer not null references bills on delete cascade,
    chamber  chamber not null,
    question text not null check (question in ('passage', 'amendment', 'override', 'reconsider')),
    held_on  date not null,
    unique (bill_id, chamber, question, held_on)
);
comment on table votes is 'roll calls on a bill';
create index votes_recent on votes (held_on desc);

create table vote_positions (
    vote_id       integer not null references votes on delete cascade,
    legislator_id integer not null references legislators,
    choice        vote_choice not null,
    primary key (vote_id, legislator_id)
);
comment on table vote_positions is 'how a legislator voted in a roll call';
create index vote_positions_legislator on vote_positions (legislator_id, choice);
