-- Parties and policy areas.

insert into parties (code, name) values
    ('CIV', 'Civic Alliance'),
    ('PRG', 'Progress Union'),
    ('HER', 'Heritage Party'),
    ('IND', 'Independents')
on conflict do nothing;

insert into topics (slug, name) values
    ('health', 'Health'),
    ('education', 'Education'),
    ('water', 'Water and sanitation'),
    ('energy', 'Energy'),
    ('transport', 'Transport'),
    ('housing', 'Housing and land'),
    ('budget', 'Budget and taxes'),
    ('justice', 'Justice'),
    ('agriculture', 'Agriculture'),
    ('technology', 'Technology and privacy')
on conflict do nothing;
