-- Who follows which bill, and what they were told; a third of it is read.

insert into follows (user_id, bill_id, since)
select u.user_id, b.bill_id, (b.introduced_on + (u.nr + b.nr) % 45 + time '12:00') at time zone 'UTC'
  from (
    select user_id, substring(email from 5 for strpos(email, '@') - 5)::integer as nr
      from users
     where email like 'user%@people.example'
  ) u
  join (
    select bill_id, introduced_on, split_part(number, ' ', 2)::integer as nr
      from bills
     where introduced_on < '2026-01-01'
  ) b on (u.nr * 11 + b.nr * 5) % 43 = 0
 order by b.nr, u.nr
on conflict do nothing;

insert into notifications (user_id, action_id, created_at)
select f.user_id, a.action_id, a.recorded_at
  from follows f
  join bill_actions a on a.bill_id = f.bill_id and f.since <= a.recorded_at
 where a.recorded_at < '2026-01-01'
 order by a.recorded_at, f.user_id
on conflict do nothing;

update notifications
   set read_at = created_at + interval '6 hours'
 where read_at is null and created_at < '2026-01-01'
   and extract(day from created_at at time zone 'UTC')::integer % 3 = 0;
