-- One hundred and twenty bills of two sessions with versions, sponsors and their way so far.

-- The third column is how far a bill comes. One in ten becomes law; most never leave their committee.
with list (number, topic, fate, title, summary) as (
    values
        ('HB 101', 'health',      'enacted',    'Rural Clinics Act', 'Funds clinics and nurses in districts without a hospital.'),
        ('SB 102', 'energy',      'committee',  'Community Solar Act', 'Licenses community solar grids and buys their surplus.'),
        ('HB 103', 'budget',      'enacted',    'Open Budget Act', 'Publishes the budget and spending of every ministry each quarter.'),
        ('HB 104', 'technology',  'committee',  'Data Protection Act', 'Gives people rights over their personal data.'),
        ('SB 105', 'water',       'enacted',    'Clean Water Access Act', 'Sets a right to safe water within one kilometre of every home.'),
        ('HB 106', 'housing',     'committee',  'Fair Rents Act', 'Limits yearly rises of rent and creates a register of landlords.'),
        ('HB 107', 'agriculture', 'committee',  'Seed Banks Act', 'Supports community seed banks and protects local varieties.'),
        ('SB 108', 'education',   'enacted',    'School Meals Act', 'Guarantees a daily meal in public primary schools.'),
        ('HB 109', 'transport',   'enacted',    'Safe Roads Act', 'Requires safety audits of national roads and publishes accidents.'),
        ('HB 110', 'justice',     'committee',  'Legal Aid Act', 'Provides lawyers to people who cannot pay for one.'),
        ('SB 111', 'education',   'committee',  'Teacher Housing Act', 'Builds housing for teachers in remote schools.'),
        ('HB 112', 'transport',   'committee',  'Public Buses Act', 'Creates a fund for public bus lines between towns.'),
        ('HB 113', 'justice',     'floor',      'Police Oversight Act', 'Creates an independent authority for complaints against the police.'),
        ('SB 114', 'health',      'committee',  'Maternal Care Act', 'Extends free maternal care to the first two years of a child.'),
        ('HB 115', 'energy',      'enacted',    'Fuel Price Transparency Act', 'Publishes how the price of fuel is made up each month.'),
        ('HB 116', 'budget',      'committee',  'Small Business Tax Act', 'Simplifies the tax of businesses below a threshold.'),
        ('SB 117', 'technology',  'enacted',    'Open Source in Government Act', 'Prefers open source software in public procurement.'),
        ('HB 118', 'water',       'committee',  'River Protection Act', 'Limits discharges into rivers and publishes measurements.'),
        ('HB 119', 'housing',     'enacted',    'Land Records Act', 'Digitises land records and opens them for inspection.'),
        ('SB 120', 'agriculture', 'committee',  'Crop Insurance Act', 'Offers insurance against drought to smallholders.'),
        ('HB 121', 'water',       'committee',  'Borehole Registry Act', 'Registers boreholes and forbids new ones where the water table falls.'),
        ('HB 122', 'housing',     'failed',     'Eviction Notice Act', 'Requires ninety days of notice and a court order before an eviction.'),
        ('SB 123', 'agriculture', 'enacted',    'Fertiliser Vouchers Act', 'Pays fertiliser vouchers directly to smallholders.'),
        ('HB 124', 'education',   'committee',  'Textbook Procurement Act', 'Publishes every textbook contract and lets schools choose among three.'),
        ('HB 125', 'transport',   'committee',  'Motorcycle Taxis Act', 'Registers motorcycle taxis and insures their passengers.'),
        ('SB 126', 'justice',     'enacted',    'Small Claims Courts Act', 'Opens courts for small claims that decide within sixty days.'),
        ('HB 127', 'health',      'enacted',    'Ambulance Response Act', 'Sets response times for ambulances and publishes them by district.'),
        ('HB 128', 'energy',      'withdrawn',  'Rural Electrification Act', 'Connects every public school and clinic to electricity.'),
        ('SB 129', 'budget',      'floor',      'Public Debt Ceiling Act', 'Sets a ceiling for public debt as a share of output.'),
        ('HB 130', 'technology',  'failed',     'Digital Identity Act', 'Creates a digital identity that nobody can be forced to use.'),
        ('HB 131', 'energy',      'committee',  'Clean Cooking Act', 'Removes the tax on clean stoves and their fuel.'),
        ('SB 132', 'budget',      'vetoed',     'Mobile Money Tax Act', 'Introduces a tax on mobile money transfers.'),
        ('HB 133', 'technology',  'committee',  'Facial Recognition Act', 'Stops facial recognition in public places for five years.'),
        ('HB 134', 'water',       'failed',     'Water Tariffs Act', 'Sets a low tariff for the first six cubic metres a month.'),
        ('SB 135', 'housing',     'committee',  'Affordable Homes Levy Act', 'Levies one per cent of wages for a fund that builds homes.'),
        ('HB 136', 'agriculture', 'floor',      'Livestock Markets Act', 'Builds markets with scales and vets along herding routes.'),
        ('HB 137', 'education',   'floor',      'Girls in Science Act', 'Funds laboratories and bursaries for girls in secondary schools.'),
        ('SB 138', 'transport',   'committee',  'Rural Bridges Act', 'Builds footbridges where children cross rivers on the way to school.'),
        ('HB 139', 'justice',     'failed',     'Whistleblower Protection Act', 'Protects people who report corruption from dismissal and suits.'),
        ('HB 140', 'health',      'committee',  'Medicine Prices Act', 'Caps the margin on essential medicines and publishes what hospitals pay.'),
        ('SB 141', 'transport',   'floor',      'Speed Limiters Act', 'Requires speed limiters in buses and lorries.'),
        ('HB 142', 'justice',     'committee',  'Bail Reform Act', 'Ends cash bail for minor offences.'),
        ('HB 143', 'health',      'floor',      'Community Health Workers Act', 'Pays community health workers a monthly wage from public funds.'),
        ('SB 144', 'energy',      'floor',      'Geothermal Royalties Act', 'Shares royalties of geothermal wells with the districts around them.'),
        ('HB 145', 'budget',      'committee',  'Procurement Disclosure Act', 'Publishes contracts, bidders and owners of companies that win.'),
        ('HB 146', 'technology',  'floor',      'Rural Internet Act', 'Finances fibre lines to towns without one.'),
        ('SB 147', 'water',       'committee',  'Sanitation in Markets Act', 'Requires toilets and water points in public markets.'),
        ('HB 148', 'housing',     'floor',      'Building Collapse Inquiry Act', 'Orders a public inquiry after every collapse of a building.'),
        ('HB 149', 'agriculture', 'committee',  'Grain Reserve Act', 'Buys grain after the harvest and sells it when prices rise.'),
        ('SB 150', 'education',   'committee',  'School Safety Audits Act', 'Requires a yearly inspection of school buildings and their wiring.'),
        ('HB 151', 'housing',     'committee',  'Community Land Titles Act', 'Registers land that a community holds together.'),
        ('HB 152', 'agriculture', 'lost',       'Pesticide Control Act', 'Bans pesticides that are banned where they are made.'),
        ('SB 153', 'education',   'failed',     'Mother Tongue Instruction Act', 'Allows teaching in local languages in the first three grades.'),
        ('HB 154', 'transport',   'lost',       'Railway Concessions Act', 'Lets private operators run trains on the national network.'),
        ('HB 155', 'justice',     'committee',  'Court Recordings Act', 'Records hearings and publishes the decisions of all courts.'),
        ('SB 156', 'health',      'committee',  'Mental Health Services Act', 'Places a counsellor in every district hospital.'),
        ('HB 157', 'energy',      'committee',  'Grid Reliability Act', 'Makes the grid operator pay for blackouts longer than six hours.'),
        ('HB 158', 'budget',      'committee',  'Constituency Funds Act', 'Lets residents vote on how constituency funds are spent.'),
        ('SB 159', 'technology',  'committee',  'Internet Shutdowns Act', 'Forbids shutting down the internet without a court order.'),
        ('HB 160', 'water',       'committee',  'Rainwater Harvesting Act', 'Subsidises tanks that collect rain from public roofs.'),
        ('HB 161', 'budget',      'failed',     'Inheritance Tax Act', 'Taxes inheritances above a high threshold.'),
        ('SB 162', 'technology',  'committee',  'Algorithm Register Act', 'Lists the algorithms that decide about benefits, loans or jobs.'),
        ('HB 163', 'water',       'floor',      'Wetlands Conservation Act', 'Protects wetlands from drainage and building.'),
        ('HB 164', 'housing',     'vetoed',     'Vacant Homes Tax Act', 'Taxes homes that stand empty for more than a year.'),
        ('SB 165', 'agriculture', 'committee',  'Farm Cooperatives Act', 'Audits cooperatives and lets members elect their boards.'),
        ('HB 166', 'education',   'enacted',    'Student Loans Reform Act', 'Ties repayment of student loans to income.'),
        ('HB 167', 'transport',   'committee',  'Road Tolls Act', 'Allows tolls on new motorways and caps them.'),
        ('SB 168', 'justice',     'passed',     'Asset Declarations Act', 'Publishes what officials own when they enter and leave office.'),
        ('HB 169', 'health',      'passed',     'Hospital Waiting Times Act', 'Requires hospitals to publish waiting times every month.'),
        ('HB 170', 'energy',      'lost',       'Electric Motorcycles Act', 'Lowers the duty on electric motorcycles and their batteries.'),
        ('SB 171', 'justice',     'committee',  'Juvenile Justice Act', 'Keeps children out of adult prisons and in school.'),
        ('HB 172', 'health',      'committee',  'Vaccine Cold Chain Act', 'Finances solar refrigerators for vaccines in remote clinics.'),
        ('HB 173', 'energy',      'committee',  'Charcoal Trade Act', 'Licenses charcoal and funds the replanting of trees.'),
        ('SB 174', 'budget',      'overridden', 'Legislators'' Allowances Act', 'Caps the allowances of legislators and publishes each claim.'),
        ('HB 175', 'technology',  'withdrawn',  'Open Data Act', 'Publishes public data in open formats by default.'),
        ('HB 176', 'water',       'passed',     'Dam Safety Act', 'Requires inspections of dams and alarm plans for those who live below.'),
        ('SB 177', 'housing',     'committee',  'Informal Settlements Act', 'Gives settlements water, paths and addresses before any relocation.'),
        ('HB 178', 'agriculture', 'withdrawn',  'Irrigation Schemes Act', 'Repairs small irrigation schemes and hands them to their users.'),
        ('HB 179', 'education',   'passed',     'Public Libraries Act', 'Opens a library in each district with free internet access.'),
        ('SB 180', 'transport',   'committee',  'Cycle Lanes Act', 'Adds cycle lanes whenever a city street is rebuilt.'),
        ('HB 181', 'agriculture', 'committee',  'Coffee Marketing Act', 'Lets growers of coffee sell without a broker.'),
        ('HB 182', 'education',   'committee',  'Vocational Colleges Act', 'Licenses colleges for trades and recognises their certificates.'),
        ('SB 183', 'transport',   'committee',  'Port Charges Act', 'Publishes port charges and how long containers wait.'),
        ('HB 184', 'justice',     'floor',      'Gender Violence Courts Act', 'Sets up special courts and shelters for survivors of violence.'),
        ('HB 185', 'health',      'lost',       'Tobacco Advertising Act', 'Ends tobacco advertising near schools and at public events.'),
        ('SB 186', 'energy',      'passed',     'Energy Regulator Act', 'Has both chambers appoint the energy regulator for a fixed term.'),
        ('HB 187', 'budget',      'committee',  'Sugar Levy Act', 'Levies a tax on sweetened drinks for health programmes.'),
        ('HB 188', 'technology',  'committee',  'Platform Workers Act', 'Gives drivers and couriers of platforms a minimum wage and insurance.'),
        ('SB 189', 'water',       'committee',  'Sewer Expansion Act', 'Borrows for sewers in towns above fifty thousand people.'),
        ('HB 190', 'housing',     'committee',  'Tenant Deposits Act', 'Keeps the deposits of tenants in a protected account.'),
        ('HB 191', 'technology',  'committee',  'Cybercrime Amendment Act', 'Widens the offence of publishing false information online.'),
        ('SB 192', 'water',       'committee',  'Water Vendors Act', 'Licenses water vendors and tests what they sell.'),
        ('HB 193', 'housing',     'committee',  'Inheritance of Land Act', 'Lets widows and daughters inherit land on equal terms.'),
        ('HB 194', 'agriculture', 'committee',  'Beekeeping Support Act', 'Trains beekeepers and protects forests around hives.'),
        ('SB 195', 'education',   'floor',      'Examination Integrity Act', 'Punishes the sale of examination papers and protects who reports it.'),
        ('HB 196', 'transport',   'withdrawn',  'Driver Working Hours Act', 'Limits the working hours of bus and lorry drivers.'),
        ('HB 197', 'justice',     'committee',  'Freedom of Assembly Act', 'Replaces permission by notice for peaceful assemblies.'),
        ('SB 198', 'health',      'withdrawn',  'Patient Records Act', 'Gives patients a copy of their records and a log of who read them.'),
        ('HB 199', 'energy',      'committee',  'Nuclear Study Act', 'Orders a study of a nuclear power station.'),
        ('HB 200', 'budget',      'floor',      'District Transfers Act', 'Fixes the formula by which districts share national revenue.'),
        ('SB 201', 'health',      'committee',  'Blood Donation Act', 'Grants a paid day of leave to people who donate blood.'),
        ('HB 202', 'energy',      'introduced', 'Prepaid Meters Act', 'Forbids fees on prepaid meters that the contract does not name.'),
        ('HB 203', 'budget',      'withdrawn',  'Auditor Follow-up Act', 'Makes ministers answer each finding of the auditor within sixty days.'),
        ('SB 204', 'technology',  'passed',     'SIM Registration Act', 'Requires an identity document for every SIM card.'),
        ('HB 205', 'water',       'committee',  'Lake Fisheries Act', 'Closes the lakes to nets for two months a year.'),
        ('HB 206', 'housing',     'floor',      'Building Inspectors Act', 'Doubles the number of inspectors and publishes their reports.'),
        ('SB 207', 'agriculture', 'passed',     'Farm Radio Act', 'Funds local radio with prices, weather and advice.'),
        ('HB 208', 'education',   'withdrawn',  'Early Childhood Centres Act', 'Pays for nursery places for children from the age of three.'),
        ('HB 209', 'transport',   'committee',  'Airport Levy Act', 'Raises the passenger levy to repair regional airfields.'),
        ('SB 210', 'justice',     'withdrawn',  'Appointment of Judges Act', 'Requires public hearings before judges are appointed.'),
        ('HB 211', 'education',   'introduced', 'University Councils Act', 'Reserves seats for students on the councils of public universities.'),
        ('HB 212', 'transport',   'introduced', 'Vehicle Inspection Act', 'Replaces paper inspection certificates by an open register.'),
        ('SB 213', 'justice',     'introduced', 'Prison Labour Act', 'Pays prisoners for work and deducts damages for victims.'),
        ('HB 214', 'health',      'introduced', 'Traditional Healers Act', 'Registers healers and lists what must be treated in a hospital.'),
        ('HB 215', 'energy',      'introduced', 'Wind Leases Act', 'Sets fair terms for land that is leased for wind turbines.'),
        ('SB 216', 'budget',      'introduced', 'Tax Amnesty Act', 'Forgives penalties for taxes that are declared within a year.'),
        ('HB 217', 'technology',  'introduced', 'Election Software Audit Act', 'Opens the software of elections to independent audit.'),
        ('HB 218', 'water',       'introduced', 'Drought Response Act', 'Releases drought funds by rainfall figures instead of by decree.'),
        ('SB 219', 'housing',     'introduced', 'Public Land Dwellers Act', 'Sets a procedure for people who live on public land.'),
        ('HB 220', 'agriculture', 'introduced', 'Farm Land Leases Act', 'Limits how long foreign companies may lease farm land.')
), committee (topic, house, senate) as (
    values
        ('health',      'house-health',         'senate-health'),
        ('education',   'house-education',      'senate-health'),
        ('water',       'house-water',          'senate-infrastructure'),
        ('energy',      'house-infrastructure', 'senate-infrastructure'),
        ('transport',   'house-infrastructure', 'senate-roads'),
        ('housing',     'house-justice',        'senate-infrastructure'),
        ('budget',      'house-finance',        'senate-budget'),
        ('justice',     'house-justice',        'senate-ethics'),
        ('agriculture', 'house-water',          'senate-budget'),
        ('technology',  'house-education',      'senate-technology')
), step (status, place, after, spread, description, fates) as (
    values
        ('introduced', 'origin', 0, 1, 'Introduced and read for the first time',
         'introduced committee withdrawn floor failed passed lost enacted vetoed overridden'),
        ('committee', 'origin', 4, 9, 'Referred to committee',
         'committee withdrawn floor failed passed lost enacted vetoed overridden'),
        ('withdrawn', 'origin', 40, 25, 'Withdrawn by its primary sponsor', 'withdrawn'),
        ('floor', 'origin', 35, 30, 'Reported by the committee',
         'floor failed passed lost enacted vetoed overridden'),
        ('failed', 'origin', 72, 20, 'Rejected on third reading', 'failed'),
        ('passed', 'origin', 72, 20, 'Passed on third reading', 'passed lost enacted vetoed overridden'),
        ('failed', 'other', 110, 25, 'Rejected by the second chamber', 'lost'),
        ('passed', 'other', 110, 25, 'Passed by the second chamber', 'enacted vetoed overridden'),
        ('enacted', 'executive', 140, 14, 'Signed into law', 'enacted'),
        ('vetoed', 'executive', 140, 14, 'Vetoed by the executive', 'vetoed overridden'),
        ('vetoed', 'origin', 160, 5, 'Override fell short of two thirds', 'vetoed'),
        ('passed', 'origin', 160, 5, 'Override carried', 'overridden'),
        ('enacted', 'other', 168, 5, 'Override carried; the bill is law', 'overridden')
), bill as (
    select list.*, n, date '2024-01-15' + 5 * n as introduced_on,
           case left(number, 1) when 'H' then 'house' else 'senate' end as origin,
           case left(number, 1) when 'H' then 'senate' else 'house' end as other
      from list
     cross join lateral (select split_part(number, ' ', 2)::integer - 100) as counted (n)
), added as (
    insert into bills (session, number, title, summary, origin, topic_id, committee_id, introduced_on, updated_at)
    select case when b.n <= 70 then 2024 else 2025 end, b.number, b.title, b.summary, b.origin::chamber, t.topic_id,
           k.committee_id, b.introduced_on, (b.introduced_on + time '12:00') at time zone 'UTC'
      from bill b
      join topics t on t.slug = b.topic
      join committee c on c.topic = b.topic
      left join committees k on k.code = case b.origin when 'house' then c.house else c.senate end
       and b.fate <> 'introduced'
     order by b.n
    on conflict do nothing
    returning bill_id, number
)
insert into bill_actions (bill_id, status, chamber, acted_on, description, recorded_at)
select a.bill_id, s.status::bill_status,
       case s.place when 'origin' then b.origin when 'other' then b.other end::chamber,
       d.acted_on, s.description, (d.acted_on + time '16:00') at time zone 'UTC'
  from added a
  join bill b on b.number = a.number
  join step s on b.fate = any (string_to_array(s.fates, ' '))
 cross join lateral (select b.introduced_on + s.after + b.n * 7 % s.spread) as d (acted_on)
 order by d.acted_on, b.n;

-- What is on the floor may have been amended; what passed is engrossed; what became law is enrolled.
with duty (topic, ministry, duty) as (
    values
        ('health', 'Health', 'appoints a medical officer in each district to inspect its work'),
        ('education', 'Education', 'publishes enrolment and attendance of every school each term'),
        ('water', 'Water', 'keeps a public map of sources, pumps and measurements'),
        ('energy', 'Energy', 'publishes tariffs, outages and new connections by district'),
        ('transport', 'Transport', 'publishes accidents, contracts and timetables'),
        ('housing', 'Lands', 'keeps a register that everybody may inspect without a fee'),
        ('budget', 'Finance', 'publishes each payment above one million within thirty days'),
        ('justice', 'Justice', 'trains officers and magistrates before this Act enters into force'),
        ('agriculture', 'Agriculture', 'announces prices and vouchers by radio before the rains'),
        ('technology', 'Communications', 'publishes source code, contracts and an impact assessment')
), amendment (n, words) as (
    values
        (0, 'In the first year its cost shall not exceed half a per cent of the budget.'),
        (1, 'A review after three years is laid before both chambers.'),
        (2, 'Districts with fewer than twenty thousand people begin a year later.'),
        (3, 'Nobody loses a licence or a right that was granted before this Act.'),
        (4, 'Fines go to the districts in which they are paid.'),
        (5, 'The ministry consults the public for thirty days before it issues rules.')
), stage (bill_id, label, published_on) as (
    select bill_id,
           case status
               when 'floor' then 'amended'
               when 'passed' then 'engrossed'
               when 'enacted' then 'enrolled'
               else 'introduced'
           end,
           min(acted_on)
      from bill_actions
     where status in ('introduced', 'floor', 'passed', 'enacted') and acted_on < '2026-01-01'
     group by bill_id, status
)
insert into bill_versions (bill_id, version, label, body, published_on)
select b.bill_id, row_number() over (partition by b.bill_id order by s.published_on), s.label,
       concat_ws(E'\n',
           'Section 1. This Act may be cited as the ' || b.title || '.',
           'Section 2. This Act ' || lower(left(b.summary, 1)) || substr(b.summary, 2),
           'Section 3. The Ministry of ' || d.ministry || ' carries out this Act and ' || d.duty || '.',
           case when s.label <> 'introduced' and counted.n % 3 > 0 then 'Section 4. ' || m.words end,
           case s.label when 'enrolled' then 'In force from ' || to_char(s.published_on + 90, 'YYYY-MM-DD') || '.' end),
       s.published_on
  from stage s
  join bills b on b.bill_id = s.bill_id
 cross join lateral (select split_part(b.number, ' ', 2)::integer - 100) as counted (n)
  join topics t on t.topic_id = b.topic_id
  join duty d on d.topic = t.slug
  join amendment m on m.n = counted.n % 6
 where b.introduced_on < '2026-01-01' and (s.label <> 'amended' or counted.n % 3 > 0)
 order by b.bill_id, s.published_on
on conflict do nothing;

-- One to six members of the chamber carry a bill, whatever their party; the first is the primary sponsor.
insert into sponsors (bill_id, legislator_id, is_primary, joined_on)
select b.bill_id, t.legislator_id, place = 0, b.introduced_on + 2 * place
  from bills b
 cross join lateral (select split_part(b.number, ' ', 2)::integer - 100) as counted (n)
  join legislator_terms t on t.chamber = b.origin and daterange(t.starts_on, t.ends_on) @> b.introduced_on
 cross join lateral (
    select (split_part(t.district, ' ', 2)::integer * 17 + n * 13) % case b.origin when 'house' then 40 else 20 end
  ) as drawn (place)
 where b.introduced_on < '2026-01-01' and place <= n % 6
 order by b.bill_id, place
on conflict do nothing;
