-- The application says who is asking (set local chanuka.user_id = '42'); the database decides what that user sees.

create function current_user_id() returns bigint language sql stable parallel safe
return nullif(current_setting('chanuka.user_id', true), '')::bigint;
comment on function current_user_id is 'the user that the application acts for; null: nobody has signed in';

create function is_moderator() returns boolean language sql stable security definer set search_path = chanuka, pg_temp
begin atomic
    select exists (select from users u where u.user_id = current_user_id() and u.role in ('moderator', 'staff'));
end;
comment on function is_moderator is 'whether the user that the application acts for moderates comments';

alter table comments enable row level security;
create policy comments_read on comments for select
    using (state = 'approved' or user_id = current_user_id() or is_moderator());
create policy comments_write on comments for insert
    with check (user_id = current_user_id() and state = 'pending');
create policy comments_edit on comments for update
    using (user_id = current_user_id() or is_moderator())
    with check (is_moderator() or (user_id = current_user_id() and state = 'pending'));
create policy comments_delete on comments for delete
    using (user_id = current_user_id() or is_moderator());

alter table follows enable row level security;
create policy follows_own on follows using (user_id = current_user_id()) with check (user_id = current_user_id());

alter table notifications enable row level security;
create policy notifications_own on notifications for select using (user_id = current_user_id());
create policy notifications_read on notifications for update
    using (user_id = current_user_id()) with check (user_id = current_user_id());
