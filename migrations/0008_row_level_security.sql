-- The application says who is asking (set local chanuka.user_id = '42'); the database decides what that user sees.

create function current_user_id() returns bigint language sql stable parallel safe
return nullif(current_setting('chanuka.user_id', true), '')::bigint;
comment on function current_user_id is 'the user that the application acts for; null: nobody has signed in';

create function is_moderator() returns boolean
language sql stable security definer set search_path = chanuka, pg_temp
begin atomic
    select exists (select from users u where u.user_id = current_user_id() and u.role in ('moderator', 'staff'));
end;
comment on function is_moderator is 'whether the user that the application acts for moderates comments';

-- (select f()) asks once a statement, f() would ask once a row.
alter table comments enable row level security;
create policy comments_read on comments for select
    using (state = 'approved' or user_id = (select current_user_id()) or (select is_moderator()));
create policy comments_write on comments for insert
    with check (user_id = (select current_user_id()) and state = 'pending');
create policy comments_edit on comments for update
    using (user_id = (select current_user_id()) or (select is_moderator()))
    with check ((user_id = (select current_user_id()) and state in ('pending', 'withdrawn'))
                or (select is_moderator()));
create policy comments_delete on comments for delete
    using (user_id = (select current_user_id()) or (select is_moderator()));

alter table comment_reactions enable row level security;
create policy comment_reactions_read on comment_reactions for select
    using (exists (select from comments c where c.comment_id = comment_reactions.comment_id));
create policy comment_reactions_write on comment_reactions
    using (user_id = (select current_user_id()))
    with check (user_id = (select current_user_id())
                and exists (select from comments c where c.comment_id = comment_reactions.comment_id));

alter table follows enable row level security;
create policy follows_own on follows
    using (user_id = (select current_user_id())) with check (user_id = (select current_user_id()));

alter table notifications enable row level security;
create policy notifications_read on notifications for select
    using (user_id = (select current_user_id()));
create policy notifications_mark on notifications for update
    using (user_id = (select current_user_id())) with check (user_id = (select current_user_id()));

-- Row level security keeps @@ from the index (it might leak), so this runs as its owner, on what everybody may read.
create function search_comments(query text, at_most integer default 20)
returns table (comment_id bigint, bill_id integer, stance text, rank real, body text)
language sql stable security definer set search_path = chanuka, pg_temp
begin atomic
    select c.comment_id, c.bill_id, c.stance, ts_rank_cd(c.search, q) as rank, c.body
      from comments c, websearch_to_tsquery('english', query) q
     where c.search @@ q and c.state = 'approved'
     order by rank desc, c.comment_id
     limit at_most;
end;
comment on function search_comments is 'full-text search in approved comments';
