-- Who follows which bill, and what they were told; a third of it is read.

insert into follows (user_id, bill_id, since)
select u.user_id, b.bill_id, b.introduced_on::timestamptz + interval '12 hours'
  from users u
  join bills b on (u.user_id * 11 + b.bill_id * 5) % 43 = 0
on conflict do nothing;

insert into notifications (user_id, bill_id, action_id, created_at, read_at)
select f.user_id, f.bill_id, a.action_id, a.acted_on::timestamptz,
       case when (f.user_id + a.action_id) % 3 = 0 then a.acted_on::timestamptz + interval '6 hours' end
  from follows f
  join bill_actions a on a.bill_id = f.bill_id and f.since <= a.acted_on::timestamptz
 order by a.acted_on, f.user_id
on conflict do nothing;
