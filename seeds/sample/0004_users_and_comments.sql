-- Two hundred users, about eight hundred comments in threads, reactions.

insert into users (handle, display_name, email, role, district, created_at, updated_at)
select trade || '_' || n, given || ' ' || family, 'user' || n || '@people.example',
       case when n <= 4 then 'moderator' when n = 5 then 'staff' else 'citizen' end,
       'District ' || 1 + n * 11 % 40, joined, joined
  from generate_series(1, 200) n
 cross join lateral (
    select (array['Ada', 'Ben', 'Chidi', 'Dora', 'Emeka', 'Fatma', 'Gabriel', 'Hope', 'Ivan', 'Joy', 'Kito', 'Lena',
                  'Musa', 'Nia', 'Omar', 'Pilar', 'Rosa', 'Said', 'Tess', 'Uma', 'Vera', 'Will', 'Yara', 'Zeki'])
               [1 + n * 7 % 24],
           (array['Acosta', 'Bello', 'Cole', 'Diallo', 'Ekholm', 'Forde', 'Gatwiri', 'Holm', 'Iversen', 'Jallow',
                  'Keller', 'Lopes', 'Marsh', 'Nilsen', 'Osei', 'Price', 'Roy', 'Sow', 'Toure'])[1 + n * 5 % 19],
           (array['reader', 'voter', 'farmer', 'nurse', 'teacher', 'driver', 'coder', 'baker', 'student'])[1 + n % 9],
           timestamptz '2023-11-01 08:00+00' + n * interval '7 hours'
  ) as drawn (given, family, trade, joined)
 order by n
on conflict do nothing;

-- Five hundred and sixty comments on bills, half of them on ten that people care about.
with said (stance, nr, words) as (
    values
        ('support', 0, 'I support the %s. In %s we have waited for this for years.'),
        ('support', 1, 'The %s would change daily life in %s. Please pass it before the recess.'),
        ('support', 2, 'I read the %s twice and it is fair. My neighbours in %s agree.'),
        ('support', 3, 'Long overdue. The %s costs little and %s would feel it at once.'),
        ('support', 4, 'As a parent I ask every member to vote for the %s. Come to %s and see why.'),
        ('support', 5, 'Good that the %s asks for public reports. In %s nobody ever told us where the money went.'),
        ('support', 6, 'We collected four hundred signatures for the %s on the market of %s.'),
        ('oppose', 0, 'The %s costs more than it helps. Who in %s checks the numbers?'),
        ('oppose', 1, 'I oppose the %s: it gives one ministry too much power, and %s gets nothing.'),
        ('oppose', 2, 'Nobody asked small traders about the %s. In %s it will close shops.'),
        ('oppose', 3, 'The %s repeats a law that was never enforced in %s. Enforce that one first.'),
        ('oppose', 4, 'Section 3 of the %s is too vague. Courts in %s will argue about it for years.'),
        ('oppose', 5, 'Another fund, another board. The %s pays for offices in the capital, not for %s.'),
        ('neutral', 0, 'What does the %s mean for %s? The text does not say.'),
        ('neutral', 1, 'Could the sponsor of the %s explain how %s is counted in the budget?'),
        ('neutral', 2, 'I like the aim of the %s, but a pilot in %s should come first.'),
        ('neutral', 3, 'When does the %s enter into force? Schools and clinics in %s need time.'),
        ('neutral', 4, 'Where can I find the costs of the %s by district? I looked for %s and found none.')
), drawn as (
    select k, bill, 'user' || 1 + (k * 67 + k / 7) % 200 || '@people.example' as email,
           (array['oppose', 'support', 'oppose', 'neutral', 'support', 'support', 'support'])
               [1 + (k * 5 + k / 11) % (3 + bill % 5)] as stance,
           case
               when k % 31 = 0 then 'rejected'
               when k % 47 = 0 then 'withdrawn'
               when k % 9 = 0 then 'pending'
               else 'approved'
           end as state
      from generate_series(1, 560) k
     cross join lateral (
        select case when k % 2 = 0 then (array[103, 107, 113, 123, 127, 132, 142, 164, 174, 209])[1 + k / 2 * 7 % 10]
                    else 101 + k * 53 % 120 end
      ) as chosen (bill)
)
insert into comments (bill_id, user_id, stance, body, state, created_at, updated_at)
select b.bill_id, u.user_id, d.stance,
       case d.state when 'rejected' then 'Cheap phones and loans, call now! Better than any ' || b.title || '.'
                    else format(s.words, b.title, u.district) end,
       d.state, t.said_at, t.said_at
  from drawn d
  join bills b on b.session in (2024, 2025) and split_part(b.number, ' ', 2)::integer = d.bill
  join users u on u.email = d.email
  join said s on s.stance = d.stance and s.nr = d.k % (select count(*) from said c where c.stance = d.stance)
 cross join lateral (
    select (b.introduced_on + d.k * 37 % 60 + time '07:00') at time zone 'UTC' + d.k * interval '97 seconds'
  ) as t (said_at)
 where not exists (select from comments c where c.user_id = u.user_id and c.created_at = t.said_at)
 order by d.k;

-- Answers in three rounds: to a third of the comments, then to half of the answers of the round before.
do $$
begin
    for round in 1..3 loop
        with recursive thread as (
            select comment_id, bill_id, user_id, stance, created_at, 1 as depth
              from comments
             where parent_id is null and state = 'approved' and created_at < '2026-01-01'
             union all
            select c.comment_id, c.bill_id, c.user_id, c.stance, c.created_at, t.depth + 1
              from comments c
              join thread t on t.comment_id = c.parent_id
             where c.created_at < '2026-01-01'
        ), asked as (
            select *, row_number() over (order by created_at, comment_id) as nr from thread where depth = round
        ), reply (nr, agrees, words) as (
            values
                (0, true, 'Thank you, I think so too.'),
                (1, false, 'I see it differently: read section 3 again.'),
                (2, true, 'Same here. Has anybody written to the committee?'),
                (3, false, 'Do you have a source for that? The report of the committee says otherwise.'),
                (4, true, 'Well put. I would add that the report should come every quarter.'),
                (5, false, 'That was true of the first version; the amended one is better.'),
                (6, true, 'I was at the hearing and heard the same from the ministry.')
        )
        insert into comments (bill_id, user_id, parent_id, stance, body, state, created_at, updated_at)
        select a.bill_id, u.user_id, a.comment_id,
               case when r.agrees then a.stance when a.stance = 'support' then 'oppose' else 'support' end,
               r.words, case when a.nr % 13 = 0 then 'pending' else 'approved' end, t.said_at, t.said_at
          from asked a
          join reply r on r.nr = (a.nr * 3 + round) % 7
          join users u on u.email = 'user' || 1 + (a.nr * 29 + round * 17) % 200 || '@people.example'
         cross join lateral (select a.created_at + interval '1 hour' * (2 + a.nr * 7 % 40)) as t (said_at)
         where a.nr % case round when 1 then 3 else 2 end = 0 and u.user_id <> a.user_id
           and not exists (select from comments c where c.parent_id = a.comment_id and c.user_id = u.user_id)
         order by a.nr;
    end loop;
end
$$;

insert into comment_reactions (comment_id, user_id, reaction)
select c.comment_id, u.user_id, (array['agree', 'agree', 'insightful', 'disagree'])[1 + (c.nr + u.nr) % (3 + c.nr % 2)]
  from (
    select comment_id, row_number() over (order by created_at, comment_id) as nr
      from comments
     where state = 'approved' and created_at < '2026-01-01'
  ) c
  join (
    select user_id, substring(email from 5 for strpos(email, '@') - 5)::integer as nr
      from users
     where email like 'user%@people.example'
  ) u on (u.nr * 7 + c.nr * 3) % 101 < case when c.nr % 8 = 0 then 4 else 1 end
 order by c.nr, u.nr
on conflict do nothing;
