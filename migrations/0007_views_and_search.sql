-- What the platform's pages read: an overview of bills, voting records, and one search.

create view bill_overview with (security_invoker) as
select b.bill_id, b.session, b.number, b.title, b.status, b.introduced_on, t.name as topic,
       l.full_name as primary_sponsor,
       (select count(*) from sponsors s where s.bill_id = b.bill_id) as sponsors,
       (select count(*) from comments c where c.bill_id = b.bill_id and c.state = 'approved') as comments,
       (select max(a.acted_on) from bill_actions a where a.bill_id = b.bill_id) as last_action_on
  from bills b
  left join topics t on t.topic_id = b.topic_id
  left join sponsors p on p.bill_id = b.bill_id and p.is_primary
  left join legislators l on l.legislator_id = p.legislator_id;
comment on view bill_overview is 'a bill a row, as the list of bills shows it';

create view vote_results with (security_invoker) as
select v.vote_id, v.bill_id, v.chamber, v.question, v.held_on,
       count(*) filter (where p.choice = 'yea') as yea,
       count(*) filter (where p.choice = 'nay') as nay,
       count(*) filter (where p.choice in ('present', 'absent')) as other,
       count(*) filter (where p.choice = 'yea') > count(*) filter (where p.choice = 'nay') as carried
  from votes v
  join vote_positions p on p.vote_id = v.vote_id
 group by v.vote_id;
comment on view vote_results is 'the count of each roll call';

create view voting_records with (security_invoker) as
with party_line as (
    select p.vote_id, m.party_id, mode() within group (order by p.choice) as choice
      from vote_positions p
      join legislator_terms m on m.legislator_id = p.legislator_id and m.ends_on is null
     where p.choice in ('yea', 'nay')
     group by p.vote_id, m.party_id
)
select l.legislator_id, l.full_name, y.code as party, m.chamber, m.district,
       count(*) as roll_calls,
       count(*) filter (where p.choice = 'absent') as absences,
       round(avg((p.choice = d.choice)::integer) filter (where p.choice in ('yea', 'nay')), 3) as with_party
  from legislators l
  join legislator_terms m on m.legislator_id = l.legislator_id and m.ends_on is null
  join parties y on y.party_id = m.party_id
  join vote_positions p on p.legislator_id = l.legislator_id
  left join party_line d on d.vote_id = p.vote_id and d.party_id = m.party_id
 group by l.legislator_id, y.code, m.chamber, m.district;
comment on view voting_records is 'how often a sitting legislator voted, was absent, and voted with the party';

create function search_bills(query text, at_most integer default 20)
returns table (bill_id integer, number text, title text, rank real, excerpt text)
language sql stable
begin atomic
    select b.bill_id, b.number, b.title, ts_rank_cd(b.search, q) as rank,
           ts_headline('english', b.summary, q, 'MaxFragments=1, MaxWords=20, MinWords=8') as excerpt
      from bills b, websearch_to_tsquery('english', query) q
     where b.search @@ q
        or exists (select from bill_versions v where v.bill_id = b.bill_id and v.search @@ q)
     order by rank desc, b.bill_id
     limit at_most;
end;
comment on function search_bills is 'full-text search in titles, summaries and texts, in the words of a search box';
