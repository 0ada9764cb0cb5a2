-- Two hundred users, about eight hundred comments in threads, reactions.

insert into users (handle, display_name, email, role, district, created_at)
select (array['reader','voter','farmer','nurse','teacher','driver','coder','baker'])[n % 8 + 1] || '_' || n,
       (array['Ada','Ben','Chidi','Dora','Emeka','Fatma','Gabriel','Hope','Ivan','Joy'])[n % 10 + 1] || ' ' || chr(65 + n % 26) || '.',
       'user' || n || '@people.example', case when n <= 4 then 'moderator' when n = 5 then 'staff' else 'citizen' end,
       'District ' || n % 40 + 1, timestamptz '2024-01-01 08:00+00' + n * interval '7 hours'
  from generate_series(1, 200) n
 order by n
on conflict do nothing;

insert into comments (bill_id, user_id, stance, body, state, created_at, updated_at)
select b.bill_id, u.user_id, s.stance,
       case s.stance
           when 'support' then 'I support the ' || b.title || ': in ' || u.district || ' we have waited for this.'
           when 'oppose' then 'The ' || b.title || ' costs more than it helps. Who checks the numbers?'
           else 'What does the ' || b.title || ' mean for ' || u.district || '? The text does not say.'
       end,
       case when k % 9 = 0 then 'pending' when k % 31 = 0 then 'rejected' else 'approved' end, at.time, at.time
  from generate_series(1, 560) k
  join lateral (select * from bills where bill_id = (select min(bill_id) from bills) + (k * k + k * 7) % 120) b on true
  join lateral (select * from users where user_id = (select min(user_id) from users) + k * 13 % 200) u on true
 cross join lateral (select (array['support', 'support', 'oppose', 'neutral'])[k % 4 + 1] as stance) s
 cross join lateral (select b.introduced_on::timestamptz + k % 40 * interval '1 day' + k * interval '11 minutes' as time) at
 where not exists (select from comments)
 order by k;

insert into comments (bill_id, user_id, parent_id, stance, body, state, created_at, updated_at)
select c.bill_id, u.user_id, c.comment_id, case when c.comment_id % 3 = 0 then 'oppose' else c.stance end,
       case when c.comment_id % 3 = 0 then 'I see it differently: read section 3 again.' else 'Thank you, I think so too.' end,
       'approved', at.time, at.time
  from comments c
  join lateral (select * from users where user_id = (select min(user_id) from users) + c.comment_id * 29 % 200) u on true
 cross join lateral (select c.created_at + interval '1 day' as time) at
 where c.parent_id is null and c.state = 'approved' and c.comment_id % 2 = 0
   and not exists (select from comments where parent_id is not null)
 order by c.comment_id;

insert into comment_reactions (comment_id, user_id, reaction)
select c.comment_id, u.user_id, (array['agree', 'agree', 'disagree', 'insightful'])[((c.comment_id + u.user_id) % 4 + 1)::integer]
  from comments c
  join users u on (u.user_id * 7 + c.comment_id * 3) % 71 = 0
 where c.state = 'approved'
on conflict do nothing;
