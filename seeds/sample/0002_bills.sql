-- One hundred and twenty bills of two sessions with versions, sponsors and their way so far.

with subjects as (
    select * from (values
        ('health', 'Rural Clinics', 'funds clinics and nurses in districts without a hospital'),
        ('health', 'Maternal Care', 'extends free maternal care to the first two years of a child'),
        ('education', 'School Meals', 'guarantees a daily meal in public primary schools'),
        ('education', 'Teacher Housing', 'builds housing for teachers in remote schools'),
        ('water', 'Clean Water Access', 'sets a right to safe water within one kilometre of every home'),
        ('water', 'River Protection', 'limits discharges into rivers and publishes measurements'),
        ('energy', 'Solar Mini-Grids', 'licenses community solar grids and buys their surplus'),
        ('energy', 'Fuel Price Transparency', 'publishes how the price of fuel is made up each month'),
        ('transport', 'Safe Roads', 'requires safety audits of national roads and publishes accidents'),
        ('transport', 'Public Buses', 'creates a fund for public bus lines between towns'),
        ('housing', 'Fair Rents', 'limits yearly rises of rent and creates a register of landlords'),
        ('housing', 'Land Records', 'digitises land records and opens them for inspection'),
        ('budget', 'Open Budget', 'publishes the budget and spending of every ministry each quarter'),
        ('budget', 'Small Business Tax', 'simplifies the tax of businesses below a threshold'),
        ('justice', 'Legal Aid', 'provides lawyers to people who cannot pay for one'),
        ('justice', 'Police Oversight', 'creates an independent authority for complaints against the police'),
        ('agriculture', 'Seed Banks', 'supports community seed banks and protects local varieties'),
        ('agriculture', 'Crop Insurance', 'offers insurance against drought to smallholders'),
        ('technology', 'Data Protection', 'gives people rights over their personal data'),
        ('technology', 'Open Source in Government', 'prefers open source software in public procurement')
    ) as v (topic, name, does)
), numbered as (
    select n, s.*, (array['Act', 'Amendment', 'Funding', 'Reporting', 'Pilot', 'Implementation'])[(n - 1) / 20 + 1] as kind
      from generate_series(1, 120) n
      join (select row_number() over () as k, subjects.* from subjects) s on s.k = (n - 1) % 20 + 1
)
insert into bills (session, number, title, summary, origin, topic_id, committee_id, introduced_on, updated_at)
select case when n <= 70 then 2024 else 2025 end,
       case when n % 3 = 0 then 'SB ' else 'HB ' end || 100 + n,
       b.name || ' ' || b.kind || case when n <= 70 then ' 2024' else ' 2025' end,
       'A bill that ' || b.does || '.',
       (case when n % 3 = 0 then 'senate' else 'house' end)::chamber, t.topic_id, c.committee_id,
       date '2024-01-15' + n * 5, timestamptz '2024-01-15 12:00+00' + n * interval '5 days'
  from numbered b
  join topics t on t.slug = b.topic
  join lateral (
    select committee_id from committees k
     where k.chamber = (case when n % 3 = 0 then 'senate' else 'house' end)::chamber
     order by (k.committee_id + n) % 7, k.committee_id limit 1
  ) c on true
 order by n
on conflict do nothing;

insert into bill_versions (bill_id, version, label, body, published_on)
select b.bill_id, v, (array['introduced', 'amended', 'engrossed'])[v],
       'Section 1. This Act is cited as the ' || b.title || E'.\nSection 2. ' || b.summary
       || E'\nSection 3. The responsible ministry reports to both chambers every ' || (array['year', 'half-year', 'quarter'])[v]
       || case when v > 1 then E'.\nSection 4. Amendments of the committee are part of this Act.' else '.' end,
       b.introduced_on + (v - 1) * 30
  from bills b, generate_series(1, 3) v
 where v <= 1 + b.bill_id % 3
on conflict do nothing;

insert into sponsors (bill_id, legislator_id, is_primary, joined_on)
select b.bill_id, s.legislator_id, s.seat = 1, b.introduced_on + (s.seat - 1)::integer * 2
  from bills b
 cross join lateral (
    select t.legislator_id, row_number() over (order by (t.legislator_id * 31 + b.bill_id * 13) % 67) as seat
      from legislator_terms t where t.chamber = b.origin and t.ends_on is null
  ) s
 where s.seat <= 1 + b.bill_id % 6
on conflict do nothing;

insert into bill_actions (bill_id, status, acted_on, description)
select b.bill_id, w.status::bill_status, b.introduced_on + w.days, w.description
  from bills b
 cross join lateral (values
    (0, 'introduced', 0, 'Introduced and read for the first time'),
    (1, 'committee', 5 + b.bill_id % 9, 'Referred to committee'),
    (2, 'floor', 30 + b.bill_id * 7 % 25, 'Reported with amendments'),
    (3, case when b.bill_id % 4 = 3 then 'failed' else 'passed' end, 60 + b.bill_id * 5 % 17, 'Put to the vote'),
    (4, case when b.bill_id % 11 = 0 then 'vetoed' else 'enacted' end, 95 + b.bill_id % 12, 'Sent to the executive')
  ) as w (step, status, days, description)
 where w.step <= case when b.bill_id % 13 = 0 then 1 else least(4, b.bill_id % 6) end
   and not (w.step = 4 and b.bill_id % 4 = 3)
   and not exists (select from bill_actions a where a.bill_id = b.bill_id and a.acted_on = b.introduced_on + w.days)
 order by b.bill_id, w.step;
