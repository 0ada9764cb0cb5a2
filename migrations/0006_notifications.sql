-- Users follow bills, and are told when something happens to them.

create table follows (
    user_id    bigint not null references users on delete cascade,
    bill_id    integer not null references bills on delete cascade,
    since      timestamptz not null default now(),
    primary key (user_id, bill_id)
);
comment on table follows is 'which bills a user wants to hear of';
create index follows_bill on follows (bill_id);

create table notifications (
    notification_id bigint generated always as identity primary key,
    user_id         bigint not null references users on delete cascade,
    bill_id         integer not null references bills on delete cascade,
    action_id       bigint not null references bill_actions on delete cascade,
    created_at      timestamptz not null default now(),
    read_at         timestamptz check (read_at >= created_at),
    unique (user_id, action_id)
);
comment on table notifications is 'a message to a user about an action on a bill';
create index notifications_unread on notifications (user_id, created_at desc) where read_at is null;
create index notifications_bill on notifications (bill_id);
create index notifications_action on notifications (action_id);

-- Runs as its owner: whoever records an action may not see the followers' rows.
create function notify_followers() returns trigger language plpgsql security definer set search_path = chanuka, pg_temp as $$
begin
    insert into notifications (user_id, bill_id, action_id, created_at)
    select f.user_id, new.bill_id, new.action_id, new.acted_on::timestamptz
      from follows f
     where f.bill_id = new.bill_id and f.since <= new.acted_on::timestamptz
    on conflict do nothing;
    return null;
end
$$;
create trigger bill_actions_notify after insert on bill_actions for each row execute function notify_followers();
