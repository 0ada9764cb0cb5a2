-- Users of the platform, their public comments and reactions to them.

create table users (
    user_id      bigint generated always as identity primary key,
    handle       text not null unique check (handle ~ '^[a-z0-9_]{2,40}$'),
    display_name text not null check (display_name <> ''),
    email        text not null check (email like '%_@_%'),
    role         text not null default 'citizen' check (role in ('citizen', 'moderator', 'staff')),
    district     text check (district ~ '^District [0-9]+$'),
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now()
);
comment on table users is 'people who use the platform';
create unique index users_email on users (lower(email));

create trigger users_touch before update on users for each row execute function touch_updated_at();

-- An answer keeps what it answers: who wants a comment gone that others answered withdraws it.
create table comments (
    comment_id bigint generated always as identity primary key,
    bill_id    integer not null references bills on delete cascade,
    user_id    bigint not null references users,
    parent_id  bigint,
    stance     text not null check (stance in ('support', 'oppose', 'neutral')),
    body       text not null check (length(body) between 1 and 10000),
    state      text not null default 'pending' check (state in ('pending', 'approved', 'rejected', 'withdrawn')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    search     tsvector generated always as (to_tsvector('english', body)) stored,
    unique (bill_id, comment_id),
    foreign key (bill_id, parent_id) references comments (bill_id, comment_id),
    check (parent_id < comment_id)
);
comment on table comments is 'public comments on a bill, in threads: an answer belongs to the bill of what it answers';
create index comments_thread on comments (bill_id, parent_id);
create index comments_user on comments (user_id);
create index comments_pending on comments (created_at) where state = 'pending';
create index comments_search on comments using gin (search) where state = 'approved';

create trigger comments_touch before update on comments for each row execute function touch_updated_at();

create table comment_reactions (
    comment_id bigint not null references comments on delete cascade,
    user_id    bigint not null references users on delete cascade,
    reaction   text not null check (reaction in ('agree', 'disagree', 'insightful')),
    primary key (comment_id, user_id)
);
comment on table comment_reactions is 'one reaction a user and comment';
create index comment_reactions_user on comment_reactions (user_id);
