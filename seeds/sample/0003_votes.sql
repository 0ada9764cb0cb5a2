-- A roll call for each bill that came to a vote: some on party lines, some split, some all but unanimous.

insert into votes (bill_id, chamber, question, held_on)
select a.bill_id, a.chamber, case when a.description like 'Override %' then 'override' else 'passage' end, a.acted_on
  from bill_actions a
 where a.chamber is not null and a.acted_on < '2026-01-01'
   and (a.status in ('passed', 'failed') or a.description like 'Override %')
 order by a.acted_on, a.action_id
on conflict do nothing;

insert into votes (bill_id, chamber, question, held_on)
select b.bill_id, a.chamber, 'amendment', a.acted_on + 3
  from bill_actions a
  join bills b on b.bill_id = a.bill_id
 where a.status = 'floor' and a.acted_on < '2025-12-01' and split_part(b.number, ' ', 2)::integer % 4 = 1
 order by a.acted_on, a.action_id
on conflict do nothing;

-- Parties side by topic; what fails has one party alone behind it, every fifth bill and what is overridden has all.
-- Few leave their party's line: one in seven often, the others seldom. Chance is a hash, the same everywhere; the date
-- in it is one for which each count agrees with the history of the bill.
with side (topic, parties) as (
    values
        ('health', 'CIV PRG'), ('education', 'CIV PRG'), ('water', 'PRG HER'), ('energy', 'PRG CIV'),
        ('transport', 'CIV HER'), ('housing', 'PRG HER'), ('budget', 'CIV HER'), ('justice', 'PRG CIV'),
        ('agriculture', 'HER PRG'), ('technology', 'CIV PRG')
), question as (
    select v.vote_id, v.chamber, v.held_on, n,
           case
               when a.status = 'failed' or a.status = 'vetoed' then left(s.parties, 3)
               when v.question = 'override' or n % 5 = 0 then 'CIV PRG HER'
               else s.parties
           end as in_favour
      from votes v
      join bills b on b.bill_id = v.bill_id
      join topics t on t.topic_id = b.topic_id
      join side s on s.topic = t.slug
      left join bill_actions a on a.bill_id = v.bill_id and a.chamber = v.chamber and a.acted_on = v.held_on
     cross join lateral (select split_part(b.number, ' ', 2)::integer) as counted (n)
     where v.held_on < '2026-01-01'
)
insert into vote_positions (vote_id, legislator_id, choice)
select q.vote_id, l.legislator_id,
       case
           when chance.absent < case when seat % 13 = 0 then 50 else 10 end then 'absent'
           when chance.absent > 251 then 'present'
           when p.code = 'IND' then case when chance.leaves < 140 then 'yea' else 'nay' end
           when (strpos(q.in_favour, p.code) > 0) = (chance.leaves >= case when seat % 7 = 0 then 70 else 6 end)
               then 'yea'
           else 'nay'
       end::vote_choice
  from question q
  join legislator_terms t on t.chamber = q.chamber and daterange(t.starts_on, t.ends_on) @> q.held_on
  join legislators l on l.legislator_id = t.legislator_id
  join parties p on p.party_id = t.party_id
 cross join lateral (select split_part(t.district, ' ', 2)::integer) as seated (seat)
 cross join lateral (select sha256((q.n + (q.held_on - date '2023-10-16') || l.slug)::bytea)) as hashed (hash)
 cross join lateral (select get_byte(hash, 0), get_byte(hash, 1)) as chance (absent, leaves)
 order by q.vote_id, l.legislator_id
on conflict do nothing;
