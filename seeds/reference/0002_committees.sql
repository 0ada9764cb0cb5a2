-- The committees of both chambers.

insert into committees (code, name, chamber) values
    ('house-health', 'House Committee on Health', 'house'),
    ('house-education', 'House Committee on Education and Technology', 'house'),
    ('house-finance', 'House Committee on Finance', 'house'),
    ('house-infrastructure', 'House Committee on Infrastructure and Energy', 'house'),
    ('house-justice', 'House Committee on Justice and Land', 'house'),
    ('senate-health', 'Senate Committee on Health and Education', 'senate'),
    ('senate-budget', 'Senate Committee on the Budget and Agriculture', 'senate'),
    ('senate-infrastructure', 'Senate Committee on Infrastructure and Land', 'senate'),
    ('senate-technology', 'Senate Committee on Technology', 'senate'),
    ('senate-ethics', 'Senate Committee on Ethics and Justice', 'senate')
on conflict do nothing;

insert into committees (code, name, chamber, parent_id)
select v.code, v.name, p.chamber, p.committee_id
  from (values
    ('house-water', 'House Sub-committee on Water and Agriculture', 'house-infrastructure'),
    ('senate-roads', 'Senate Sub-committee on Roads', 'senate-infrastructure')
  ) as v (code, name, parent)
  join committees p on p.code = v.parent
on conflict do nothing;
