-- The committees of both chambers.

insert into committees (code, name, chamber) values
    ('house-health', 'House Committee on Health', 'house'),
    ('house-education', 'House Committee on Education', 'house'),
    ('house-finance', 'House Committee on Finance', 'house'),
    ('house-infrastructure', 'House Committee on Infrastructure', 'house'),
    ('house-justice', 'House Committee on Justice', 'house'),
    ('senate-health', 'Senate Committee on Health', 'senate'),
    ('senate-budget', 'Senate Committee on the Budget', 'senate'),
    ('senate-infrastructure', 'Senate Committee on Infrastructure', 'senate'),
    ('senate-technology', 'Senate Committee on Technology', 'senate'),
    ('senate-ethics', 'Senate Committee on Ethics', 'senate')
on conflict do nothing;

insert into committees (code, name, chamber, parent_id)
select v.code, v.name, v.chamber::chamber, p.committee_id
  from (values
    ('house-water', 'House Sub-committee on Water', 'house', 'house-infrastructure'),
    ('senate-roads', 'Senate Sub-committee on Roads', 'senate', 'senate-infrastructure')
  ) as v (code, name, chamber, parent)
  join committees p on p.code = v.parent
on conflict do nothing;
