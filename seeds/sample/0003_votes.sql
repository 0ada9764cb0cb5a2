-- A roll call for each bill that came to a vote: some on party lines, some split, some all but unanimous.

insert into votes (bill_id, chamber, question, held_on)
select b.bill_id, b.origin, 'passage', a.acted_on
  from bills b
  join bill_actions a on a.bill_id = b.bill_id and a.description = 'Put to the vote'
 order by b.bill_id
on conflict do nothing;

insert into vote_positions (vote_id, legislator_id, choice)
select v.vote_id, t.legislator_id,
       (case
           when (t.legislator_id * 37 + v.vote_id * 11) % 29 = 0 then 'absent'
           when (t.legislator_id * 19 + v.vote_id * 7) % 53 = 0 then 'present'
           when (t.legislator_id * 23 + v.vote_id * 5) % 17 = 0 then case when sides.yea then 'nay' else 'yea' end
           when sides.yea then 'yea'
           else 'nay'
       end)::vote_choice
  from votes v
  join bills b on b.bill_id = v.bill_id
  join legislator_terms t on t.chamber = v.chamber and t.ends_on is null
  join parties p on p.party_id = t.party_id
 cross join lateral (
    select case
        when b.bill_id % 5 = 0 and b.bill_id % 4 <> 3 then true
        when p.code = 'CIV' then b.bill_id % 4 <> 3
        when p.code = 'PRG' then b.bill_id % 4 in (0, 1)
        when p.code = 'HER' then b.bill_id % 4 in (2, 3)
        else b.bill_id % 2 = 0
    end as yea
  ) sides
on conflict do nothing;
