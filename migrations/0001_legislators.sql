-- Legislators, their parties and the terms that they serve.

create table parties (
    party_id   integer generated always as identity primary key,
    code       text not null unique check (code ~ '^[A-Z]{2,5}$'),
    name       text not null unique
);
comment on table parties is 'political parties';

create type chamber as enum ('house', 'senate');

create table legislators (
    legislator_id integer generated always as identity primary key,
    slug          text not null unique check (slug ~ '^[a-z0-9-]+$'),
    full_name     text not null check (full_name <> ''),
    born_on       date check (born_on > '1900-01-01'),
    email         text,
    created_at    timestamptz not null default now()
);
comment on table legislators is 'people who hold, or held, a seat';
create index legislators_name_trgm on legislators using gin (full_name gin_trgm_ops);

create table legislator_terms (
    term_id       integer generated always as identity primary key,
    legislator_id integer not null references legislators on delete cascade,
    party_id      integer not null references parties,
    chamber       chamber not null,
    district      text not null check (district <> ''),
    starts_on     date not null,
    ends_on       date,
    check (ends_on > starts_on)
);
comment on table legislator_terms is 'who sat where, for which party, from when to when (ends_on is exclusive; null: still)';
create index legislator_terms_legislator on legislator_terms (legislator_id);
create index legislator_terms_party on legislator_terms (party_id);
create unique index legislator_terms_one_open on legislator_terms (legislator_id) where ends_on is null;
create unique index legislator_terms_one_seat on legislator_terms (chamber, district) where ends_on is null;
