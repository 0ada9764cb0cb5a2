-- Legislators, their parties and the terms that they serve.

create type chamber as enum ('house', 'senate');

create table parties (
    party_id integer generated always as identity primary key,
    code     text not null unique check (code ~ '^[A-Z]{2,5}$'),
    name     text not null unique check (name <> '')
);
comment on table parties is 'political parties';

create table legislators (
    legislator_id integer generated always as identity primary key,
    slug          text not null unique check (slug ~ '^[a-z0-9-]+$'),
    full_name     text not null check (full_name <> ''),
    born_on       date check (born_on > '1900-01-01'),
    email         text check (email like '%_@_%'),
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now()
);
comment on table legislators is 'people who hold, or held, a seat';
create index legislators_name_trgm on legislators using gin (full_name gin_trgm_ops);

-- The two exclusions let time pass over a seat: nobody sits twice at once, and no seat is held by two.
create table legislator_terms (
    term_id       integer generated always as identity primary key,
    legislator_id integer not null references legislators on delete cascade,
    party_id      integer not null references parties,
    chamber       chamber not null,
    district      text not null,
    starts_on     date not null,
    ends_on       date,
    check (ends_on > starts_on),
    check (district ~ case chamber when 'house' then '^District [0-9]+$' else '^Region [0-9]+$' end),
    constraint legislator_terms_one_seat_each exclude using gist (
        int4range(legislator_id, legislator_id, '[]') with &&, daterange(starts_on, ends_on) with &&),
    constraint legislator_terms_one_in_a_seat exclude using gist (
        district gist_trgm_ops with =, daterange(starts_on, ends_on) with &&)
);
comment on table legislator_terms is 'who sat where, for which party and how long; a change of party starts a new term';
comment on column legislator_terms.ends_on is 'the first day that is no longer part of the term; null: still in office';
create index legislator_terms_legislator on legislator_terms (legislator_id, starts_on);
create index legislator_terms_party on legislator_terms (party_id);

create function touch_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end
$$;
comment on function touch_updated_at is 'trigger: updated_at is when the row was last written';

create trigger legislators_touch before update on legislators for each row execute function touch_updated_at();
