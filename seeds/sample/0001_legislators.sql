-- Sixty invented legislators: forty in the house, twenty in the senate. Three blocs, a few independents.

-- A seat a row: H is a district of the house, S a region of the senate; `was` is the seat before the election of 2023.
with seats (seat, was, party, full_name, born_on) as (
    values
        ('H1',  'H1',  'CIV', 'Amina Lindqvist',     '1971-04-12'),
        ('H2',  'H2',  'CIV', 'Tobias Wanjala',      '1968-09-30'),
        ('H3',  null,  'PRG', 'Renata Okonjo',       '1980-01-22'),
        ('H4',  'H4',  'PRG', 'Felix Abernathi',     '1976-11-05'),
        ('H5',  'H5',  'HER', 'Gideon Marchetti',    '1959-06-17'),
        ('H6',  null,  'CIV', 'Zawadi Petrov',       '1984-03-08'),
        ('H7',  null,  'CIV', 'Leopold Njenga',      '1965-12-01'),
        ('H8',  'H8',  'PRG', 'Salome Eriksen',      '1978-07-19'),
        ('H9',  null,  'IND', 'Mirembe Castellan',   '1973-02-27'),
        ('H10', 'H10', 'CIV', 'Hassan Vandermeer',   '1969-10-10'),
        ('H11', null,  'PRG', 'Ines Chepkoech',      '1987-05-14'),
        ('H12', 'H12', 'CIV', 'Barnaby Tadesse',     '1962-08-21'),
        ('H13', null,  'PRG', 'Noor Halvorsen',      '1981-09-02'),
        ('H14', 'H14', 'HER', 'Cyprian Dalgaard',    '1957-01-30'),
        ('H15', null,  'CIV', 'Wairimu Delacroix',   '1975-06-25'),
        ('H16', 'H16', 'PRG', 'Anselm Rutere',       '1970-04-04'),
        ('H17', null,  'CIV', 'Hadiza Brightwater',  '1983-11-11'),
        ('H18', null,  'HER', 'Odhran Kiplagat',     '1966-03-16'),
        ('H19', 'H19', 'PRG', 'Thandeka Moreau',     '1979-12-29'),
        ('H20', 'H20', 'CIV', 'Ruben Achterberg',    '1972-08-08'),
        ('H21', null,  'PRG', 'Fadhili Sorensen',    '1988-02-18'),
        ('H22', 'H22', 'CIV', 'Clementine Obura',    '1967-07-07'),
        ('H23', null,  'IND', 'Isidore Wekesa',      '1961-05-23'),
        ('H24', 'H24', 'PRG', 'Jumoke Bergstrom',    '1974-10-31'),
        ('H25', null,  'CIV', 'Matthias Ndegwa',     '1982-01-13'),
        ('H26', 'H26', 'HER', 'Perpetua Vasquez',    '1963-09-09'),
        ('H27', null,  'PRG', 'Kwabena Leclerc',     '1977-03-27'),
        ('H28', null,  'CIV', 'Yohana Silversmith',  '1985-06-06'),
        ('H29', 'H29', 'PRG', 'Beatriz Omolo',       '1971-12-15'),
        ('H30', 'H30', 'HER', 'Sigurd Mutiso',       '1960-04-28'),
        ('H31', null,  'CIV', 'Nasra Featherstone',  '1986-08-03'),
        ('H32', null,  'PRG', 'Emeric Wafula',       '1968-02-09'),
        ('H33', 'H33', 'CIV', 'Tindra Achieng',      '1979-05-20'),
        ('H34', 'H34', 'IND', 'Lazarus Quillon',     '1964-11-26'),
        ('H35', null,  'PRG', 'Oriane Kibet',        '1989-07-01'),
        ('H36', 'H36', 'HER', 'Bartholomew Sesay',   '1958-10-18'),
        ('H37', 'H37', 'CIV', 'Makena Thorvald',     '1976-01-07'),
        ('H38', null,  'PRG', 'Dagny Lumumba',       '1984-09-24'),
        ('H39', null,  'HER', 'Florian Mwakio',      '1966-06-12'),
        ('H40', 'H40', 'CIV', 'Rashida Penhallow',   '1973-03-03'),
        ('S1',  'S1',  'PRG', 'Cosima Wangari',      '1960-02-14'),
        ('S2',  'S2',  'CIV', 'Abdi Rosenqvist',     '1955-08-29'),
        ('S3',  'S3',  'HER', 'Hyacinth Barasa',     '1953-05-05'),
        ('S4',  'S4',  'PRG', 'Lucian Adeyemo',      '1969-12-20'),
        ('S5',  'S5',  'PRG', 'Winfreda Castillan',  '1964-04-17'),
        ('S6',  'S6',  'CIV', 'Jabari Nightingale',  '1972-10-02'),
        ('S7',  'H3',  'HER', 'Ottoline Gakuru',     '1956-01-19'),
        ('S8',  'H6',  'PRG', 'Stellan Omondi',      '1967-07-30'),
        ('S9',  'S9',  'IND', 'Marguerite Sang',     '1961-11-08'),
        ('S10', 'H13', 'CIV', 'Elikia Thornbury',    '1974-06-21'),
        ('S11', 'S11', 'PRG', 'Severin Kariuko',     '1970-09-13'),
        ('S12', 'S12', 'HER', 'Philomena Dragan',    '1954-03-25'),
        ('S13', null,  'CIV', 'Bahati Ellingsen',    '1977-08-16'),
        ('S14', 'H18', 'PRG', 'Ignatius Folwell',    '1963-05-31'),
        ('S15', 'S15', 'HER', 'Adhiambo Grimaldi',   '1965-02-04'),
        ('S16', 'S16', 'PRG', 'Tancred Musyoka',     '1959-12-11'),
        ('S17', 'S17', 'CIV', 'Lindiwe Hartmann',    '1971-10-27'),
        ('S18', null,  'HER', 'Evander Cheruiyo',    '1957-07-15'),
        ('S19', null,  'PRG', 'Solveig Nakato',      '1978-04-09'),
        ('S20', 'H7',  'CIV', 'Thaddeus Oyelara',    '1962-09-18')
), added as (
    insert into legislators (slug, full_name, born_on, email, created_at, updated_at)
    select replace(lower(full_name), ' ', '-'), full_name, born_on::date,
           replace(lower(full_name), ' ', '.') || '@assembly.example', '2023-01-10 09:00+00', '2023-01-10 09:00+00'
      from seats
    on conflict do nothing
    returning legislator_id, slug
), served (full_name, seat, party, starts_on, ends_on) as (
    select full_name, was, party, date '2019-01-10', date '2023-01-10' from seats where was is not null
     union all
    select full_name, seat, party, date '2023-01-10', case when seat in ('H20', 'S12') then date '2025-02-03' end
      from seats
     union all  -- two left their parties
    select full_name, seat, 'IND', date '2025-02-03', null from seats where seat in ('H20', 'S12')
)
insert into legislator_terms (legislator_id, party_id, chamber, district, starts_on, ends_on)
select l.legislator_id, p.party_id,
       case left(s.seat, 1) when 'H' then 'house' else 'senate' end::chamber,
       case left(s.seat, 1) when 'H' then 'District ' else 'Region ' end || substr(s.seat, 2),
       s.starts_on, s.ends_on
  from served s
  join added l on l.slug = replace(lower(s.full_name), ' ', '-')
  join parties p on p.code = s.party
 order by s.starts_on, l.legislator_id
on conflict do nothing;

-- Seven members a committee, five a sub-committee: dealt round, so that everybody sits somewhere.
insert into committee_members (committee_id, legislator_id, position)
select c.committee_id, t.legislator_id, case place when 0 then 'chair' when 1 then 'vice-chair' else 'member' end
  from (
    select committee_id, chamber, parent_id, case chamber when 'house' then 40 else 20 end as seats,
           7 * row_number() over (partition by chamber order by parent_id, code collate "C") as dealt
      from committees
  ) c
  join legislator_terms t on t.chamber = c.chamber and t.ends_on is null
 cross join lateral (select (split_part(t.district, ' ', 2)::integer * 17 + c.dealt) % c.seats) as drawn (place)
 where place < case when c.parent_id is null then 7 else 5 end
 order by c.committee_id, place
on conflict do nothing;
