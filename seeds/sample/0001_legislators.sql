-- Sixty invented legislators: forty in the house, twenty in the senate. Three blocs, a few independents.

with names as (
    select n,
           (array['Amina','Brian','Carol','Daniel','Esther','Felix','Grace','Hassan','Irene','James','Khadija','Leonard',
                  'Mercy','Noah','Olive','Peter','Queen','Ruth','Samuel','Teresa'])[(n - 1) % 20 + 1] as given,
           (array['Abara','Benali','Costa','Dembele','Eriksen','Farah','Gitau','Haile','Imani','Juma','Kamau','Lindqvist',
                  'Mwangi','Njoroge','Otieno','Petrov','Quispe','Rahman','Sesay','Tadesse','Usman','Vargas','Wanjiru'])
               [(n * 7 - 1) % 23 + 1] as family
      from generate_series(1, 60) n
)
insert into legislators (slug, full_name, born_on, email, created_at)
select lower(given || '-' || family), given || ' ' || family, date '1955-03-01' + n * 211,
       lower(given || '.' || family || '@assembly.example'), timestamptz '2023-01-10 09:00+00'
  from names
 order by n
on conflict do nothing;

insert into legislator_terms (legislator_id, party_id, chamber, district, starts_on)
select l.legislator_id, p.party_id,
       (case when n <= 40 then 'house' else 'senate' end)::chamber,
       case when n <= 40 then 'District ' || n else 'Region ' || n - 40 end, date '2023-01-10'
  from (select legislator_id, row_number() over (order by legislator_id) as n from legislators) l
  join parties p on p.code = case when n % 15 = 0 then 'IND' when n % 5 in (1, 2) then 'CIV' when n % 5 in (3, 4) then 'PRG' else 'HER' end
on conflict do nothing;

insert into committee_members (committee_id, legislator_id, position)
select c.committee_id, m.legislator_id, case seat when 1 then 'chair' when 2 then 'vice-chair' else 'member' end
  from committees c
 cross join lateral (
    select t.legislator_id, row_number() over (order by (t.legislator_id * 17 + c.committee_id * 29) % 61) as seat
      from legislator_terms t
     where t.chamber = c.chamber and t.ends_on is null
  ) m
 where m.seat <= 7
on conflict do nothing;
