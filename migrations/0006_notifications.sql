-- Users follow bills, and are told when something happens to them.

create table follows (
    user_id bigint not null references users on delete cascade,
    bill_id integer not null references bills on delete cascade,
    since   timestamptz not null default now(),
    primary key (user_id, bill_id)
);
comment on table follows is 'which bills a user wants to hear of';
create index follows_bill on follows (bill_id);

create table notifications (
    notification_id bigint generated always as identity primary key,
    user_id         bigint not null references users on delete cascade,
    action_id       bigint references bill_actions on delete cascade,
    comment_id      bigint references comments on delete cascade,
    created_at      timestamptz not null default now(),
    read_at         timestamptz check (read_at >= created_at),
    unique (user_id, action_id),
    unique (user_id, comment_id),
    check (num_nonnulls(action_id, comment_id) = 1)
);
comment on table notifications is 'tells a user of an action on a bill that they follow, or an answer to their comment';
create index notifications_unread on notifications (user_id, created_at desc) where read_at is null;
create index notifications_action on notifications (action_id);
create index notifications_comment on notifications (comment_id);

-- Both run as their owner: who acts or answers may not see, nor write, the notifications of others.
create function notify_followers() returns trigger
language plpgsql security definer set search_path = chanuka, pg_temp as $$
begin
    insert into notifications (user_id, action_id, created_at)
    select f.user_id, new.action_id, new.recorded_at
      from follows f
     where f.bill_id = new.bill_id and f.since <= new.recorded_at
    on conflict do nothing;
    return null;
end
$$;
comment on function notify_followers is 'trigger: an action is told to who followed the bill when it was recorded';

create trigger bill_actions_notify after insert on bill_actions for each row execute function notify_followers();

create function notify_answered() returns trigger
language plpgsql security definer set search_path = chanuka, pg_temp as $$
begin
    insert into notifications (user_id, comment_id, created_at)
    select c.user_id, new.comment_id, new.updated_at
      from comments c
     where c.comment_id = new.parent_id and c.user_id <> new.user_id
    on conflict do nothing;
    return null;
end
$$;
comment on function notify_answered is 'trigger: an approved answer is told to whom it answers, once';

create trigger comments_notify after insert or update of state on comments for each row
    when (new.state = 'approved' and new.parent_id is not null) execute function notify_answered();
