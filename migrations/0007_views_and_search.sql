-- What the platform's pages read: an overview of bills, voting records, and one search.

create view bill_overview with (security_invoker) as
select b.bill_id, b.session, b.number, b.title, b.status, b.introduced_on, t.name as topic, k.name as committee,
       l.full_name as primary_sponsor,
       (select count(*) from sponsors s where s.bill_id = b.bill_id) as sponsors,
       (select max(a.acted_on) from bill_actions a where a.bill_id = b.bill_id) as last_action_on,
       c.comments, c.support, c.oppose
  from bills b
  left join topics t on t.topic_id = b.topic_id
  left join committees k on k.committee_id = b.committee_id
  left join sponsors p on p.bill_id = b.bill_id and p.is_primary
  left join legislators l on l.legislator_id = p.legislator_id
 cross join lateral (
    select count(*) as comments,
           count(*) filter (where stance = 'support') as support,
           count(*) filter (where stance = 'oppose') as oppose
      from comments
     where bill_id = b.bill_id and state = 'approved'
  ) c;
comment on view bill_overview is 'a bill a row, as the list of bills shows it';

create view vote_results with (security_invoker) as
select v.vote_id, v.bill_id, v.chamber, v.question, v.held_on, n.yea, n.nay, n.other,
       case v.question when 'override' then n.yea > 0 and n.yea >= 2 * n.nay else n.yea > n.nay end as carried
  from votes v
 cross join lateral (
    select count(*) filter (where choice = 'yea') as yea,
           count(*) filter (where choice = 'nay') as nay,
           count(*) filter (where choice in ('present', 'absent')) as other
      from vote_positions
     where vote_id = v.vote_id
  ) n;
comment on view vote_results is 'the count of each roll call; an override needs two thirds of yea and nay';

create view party_positions with (security_invoker) as
select v.vote_id, t.party_id,
       count(*) filter (where p.choice = 'yea') as yea,
       count(*) filter (where p.choice = 'nay') as nay,
       case sign(count(*) filter (where p.choice = 'yea') - count(*) filter (where p.choice = 'nay'))
           when 1 then 'yea'::vote_choice when -1 then 'nay'::vote_choice
       end as line
  from votes v
  join vote_positions p on p.vote_id = v.vote_id
  join legislator_terms t on t.legislator_id = p.legislator_id
   and daterange(t.starts_on, t.ends_on) @> v.held_on
 group by v.vote_id, t.party_id;
comment on view party_positions is 'how each party voted; members count for the party that they sat for on that day';

create view legislator_voting_record with (security_invoker) as
select l.legislator_id, l.full_name, y.code as party, t.chamber, t.district,
       count(*) as roll_calls,
       count(*) filter (where p.choice = 'absent') as absences,
       round(100.0 * count(*) filter (where p.choice = d.line)
             / nullif(count(*) filter (where p.choice in ('yea', 'nay') and d.line is not null), 0), 1) as party_percent
  from vote_positions p
  join votes v on v.vote_id = p.vote_id
  join legislators l on l.legislator_id = p.legislator_id
  join legislator_terms t on t.legislator_id = p.legislator_id
   and daterange(t.starts_on, t.ends_on) @> v.held_on
  join parties y on y.party_id = t.party_id
  left join party_positions d on d.vote_id = p.vote_id and d.party_id = t.party_id
 group by l.legislator_id, t.term_id, y.party_id;
comment on view legislator_voting_record is 'a term a row: how often its holder was absent, or voted with the party';

create function search_bills(query text, at_most integer default 20)
returns table (bill_id integer, session integer, number text, title text, rank real, excerpt text)
language sql stable
begin atomic
    with hits as (
        select b.bill_id, ts_rank_cd(b.search, q) as rank, b.summary as words
          from bills b, websearch_to_tsquery('english', query) q
         where b.search @@ q
         union all
        select v.bill_id, ts_rank_cd(v.search, q), v.body
          from bill_versions v, websearch_to_tsquery('english', query) q
         where v.search @@ q
    ), best as (
        select distinct on (h.bill_id) h.bill_id, h.rank, h.words from hits h order by h.bill_id, h.rank desc, h.words
    ), page as (
        select * from best order by best.rank desc, best.bill_id limit at_most
    )
    select b.bill_id, b.session, b.number, b.title, p.rank,
           ts_headline('english', p.words, websearch_to_tsquery('english', query),
                       'MaxFragments=1, MaxWords=30, MinWords=15')
      from page p
      join bills b on b.bill_id = p.bill_id
     order by p.rank desc, b.bill_id;
end;
comment on function search_bills is 'full-text search in titles, summaries and texts, in the words of a search box';
