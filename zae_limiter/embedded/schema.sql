-- The tables of an embedded store. STRICT, so that a sum that overflows is an error and never turns into a REAL.

create table store (
    schema_version text not null,
    config_version integer not null,
    created_at text not null
) strict;

create table namespace (
    id text primary key,
    name text not null,
    status text not null check (status in ('active', 'deleted', 'purging')),
    created_at text not null,
    deleted_at text
) strict, without rowid;

create unique index namespace_in_use on namespace (name) where status = 'active';

create table entity (
    namespace text not null,
    id text not null,
    name text,
    parent_id text,
    cascade integer not null,
    metadata text not null,
    created_at text not null,
    primary key (namespace, id)
) strict, without rowid;

create index entity_by_parent on entity (namespace, parent_id, id) where parent_id is not null;

-- One row a level: entity '' is the resource's level, both '' the system's.
create table configuration (
    namespace text not null,
    entity text not null,
    resource text not null,
    limits text not null,
    on_unavailable text check (on_unavailable in ('allow', 'block')),
    primary key (namespace, entity, resource)
) strict, without rowid;

create index configuration_by_resource on configuration (namespace, resource, entity) where entity <> '';

-- One row a limit of a bucket. `room` is scratch: a charge hands in how far ahead `full_at` may lie for it to fit.
-- `used` and `events` count the current hour; the trigger closes it, with no more tokens than settling counts in one.
create table bucket (
    namespace text not null,
    entity text not null,
    resource text not null,
    name text not null,
    full_at integer not null,
    amount integer not null,
    period integer not null,
    carried_at integer not null default 0,
    room integer not null,
    used integer not null,
    events integer not null,
    hour integer not null,
    primary key (namespace, entity, resource, name)
) strict, without rowid;

create index bucket_by_resource on bucket (namespace, resource, entity);

create table usage (
    namespace text not null,
    entity text not null,
    resource text not null,
    hour integer not null,
    name text not null,
    used integer not null,
    events integer not null,
    primary key (namespace, entity, resource, hour, name)
) strict, without rowid;

create index usage_by_resource on usage (namespace, resource, hour, entity);

create trigger hour_closed after update of hour on bucket
when old.hour <> new.hour and old.events <> 0
begin
    insert into usage values (old.namespace, old.entity, old.resource, old.hour, old.name, old.used, old.events)
    on conflict do update set
        used = max(-4000000000000000000, min(4000000000000000000, used + excluded.used)),
        events = events + excluded.events;
end;

create table audit_event (
    namespace text not null,
    entity text not null,
    id text not null,
    at_ns integer not null,
    action text not null,
    principal text,
    resource text,
    details text not null,
    primary key (namespace, entity, id)
) strict, without rowid;

create trigger bucket_forgotten after delete on bucket
when old.events <> 0
begin
    insert into usage values (old.namespace, old.entity, old.resource, old.hour, old.name, old.used, old.events)
    on conflict do update set
        used = max(-4000000000000000000, min(4000000000000000000, used + excluded.used)),
        events = events + excluded.events;
end;

create index usage_by_hour on usage (namespace, hour);

create index audit_by_time on audit_event (namespace, at_ns);

-- What is set for a namespace beside its limits, and under namespace '' how far the sweep has come.
create table setting (
    namespace text not null,
    name text not null,
    value text not null,
    primary key (namespace, name)
) strict, without rowid;
