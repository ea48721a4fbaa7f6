-- What must hold of the calendar at every moment, asked of the database itself: each statement under a title gives the rows that break it, by their ids.
-- Read in one snapshot by `npm run doctor`, by the storm and by the tests. https://www.postgresql.org/docs/18/ddl-constraints.html#DDL-CONSTRAINTS-EXCLUSION
--
-- Who is where is worked out here from what the appointments say, without the table `occupancy` that the server keeps for it, so that neither can be wrong unseen.
-- A hold counts until a second before it runs out: it may do so while this is read.

create function pg_temp.extension("of" json, "named" text) returns json language sql immutable as $$
  select e from json_array_elements("of"->'extension') e where e->>'url' = "named" limit 1 $$;

create function pg_temp.minutes("duration" json) returns int language sql immutable as $$
  select (("duration"->>'value')::numeric * case coalesce("duration"->>'code', "duration"->>'unit')
    when 's' then 1 / 60.0 when 'min' then 1 when 'h' then 60 when 'd' then 1440 when 'wk' then 10080 end)::int $$;

-- The person, place or thing behind a reference that one visit occupies at a time; null: it is not scarce.
create function pg_temp.scarce("named" text) returns text language sql stable as $$
  select case
    when "named" like 'PractitionerRole/%' then coalesce((select r."practitioner" from "practitioner_role" r where "named" = 'PractitionerRole/' || r."id"), "named")
    when "named" ~ '^(Practitioner|Patient|Device)/' then "named"
    when "named" like 'Location/%' and exists (select from "location" l where "named" = 'Location/' || l."id"
      and l."content"::json->'physicalType'->'coding'->0->>'code' in ('ro', 'bd', 've', 'ca', 'rd')) then "named" end $$;

create function pg_temp.actor_key("reference" text) returns uuid language sql immutable as $$
  select encode(substr(sha256(convert_to("reference", 'UTF8')), 1, 16), 'hex')::uuid $$;

create temporary table "schedule_person" on commit drop as
  select distinct 'Schedule/' || s."id" as "schedule", pg_temp.scarce(a) as "who" from "schedule" s, unnest(s."actor") a where pg_temp.scarce(a) is not null;

-- Appointments that hold time.
create temporary table "holding" on commit drop as
  select a."id", a."status", a."actor", a."slot", c.doc, (c.doc->>'start')::timestamptz as "start", (c.doc->>'end')::timestamptz as "end",
    case a."status" when 'pending' then (pg_temp.extension(c.doc, 'https://kairos.example/fhir/StructureDefinition/hold-expires')->>'valueInstant')::timestamptz end as "expires",
    pg_temp.extension(c.doc, 'https://kairos.example/fhir/StructureDefinition/override') is not null as "override"
  from "appointment" a cross join lateral (select a."content"::json as doc offset 0) c
  where a."status" in ('pending', 'booked', 'arrived', 'checked-in', 'fulfilled') and c.doc->>'start' is not null;

-- Whom each of them occupies. `named`: as a participant; else because the Slot is that person's time.
create temporary table "person" on commit drop as
  select "id", "who", bool_or("named") as "named" from (
    select h."id", pg_temp.scarce(r) as "who", true as "named"
    from "holding" h, json_array_elements(h.doc->'participant') p, unnest(h."actor") r
    where (r = p->'actor'->>'reference' or p->'actor'->>'reference' like '%/' || r)
      and p->>'required' is distinct from 'information-only' and p->>'status' <> 'declined'
    union all
    select h."id", sp."who", false from "holding" h, unnest(h."slot") named
      join "slot" s on named = 'Slot/' || s."id" join "schedule_person" sp on sp."schedule" = s."schedule") x
  where "who" is not null group by "id", "who";
create index on "person" ("id");

-- Claims to time that must get along: overridden ones do not, and say so; staff may put a patient into two places, which the row of occupancy says.
create temporary table "claim" on commit drop as
  select p."who", h."id", h."start", h."end", coalesce(o."capacity", 1) as "capacity"
  from "holding" h join "person" p using ("id") left join "occupancy" o on o."appointment" = h."id" and o."actor" = pg_temp.actor_key(p."who")
  where not h."override" and not (p."who" like 'Patient/%' and coalesce(o."override", false))
    and (h."expires" is null or h."expires" > now() + interval '1 second');
create index on "claim" ("who", "start");
analyze "holding", "person", "claim";

-- I1: nobody has more visits at a time than each of them tolerates
with step as (
  select "who", "id", sum(n) over (partition by "who" order by at, n rows unbounded preceding) as together, n
  from (select "who", "id", "start" as at, 1 as n from "claim" union all select "who", "id", "end", -1 from "claim") x
)
select distinct 'Appointment/' || c."id" || ' (' || c."who" || ')'
from (select distinct "who", "id" from step where n = 1 and together > 1) s join "claim" c using ("who", "id")
cross join lateral (
  select count(*) as n, min(o."capacity") as tolerated from "claim" o where o."who" = c."who" and o."start" <= c."start" and o."end" > c."start") beside
where beside.n > beside.tolerated;

-- Since when a visit has, of somebody, time that it has now: the first of its latest versions that all had it. null: it does not say that it has it.
create function pg_temp.since("visit" text, "who" text, "start" timestamptz, "end" timestamptz) returns timestamptz language sql stable as $$
  with said as (
    select v."version", v."last_updated", coalesce(v.doc->>'status' in ('pending', 'booked', 'arrived', 'checked-in', 'fulfilled')
        and (v.doc->>'start')::timestamptz <= "since"."start" and (v.doc->>'end')::timestamptz >= "since"."end"
        and exists (select from json_array_elements(v.doc->'participant') p
          where p->>'required' is distinct from 'information-only' and p->>'status' <> 'declined'
            and pg_temp.scarce(substring(p->'actor'->>'reference' from '[^/]+/[^/]+$')) = "since"."who"), false) as "has"
    from (select "version", "last_updated", "content"::json as doc from "appointment" where "id" = "visit"
      union all select "version", "last_updated", "content"::json from "appointment_history" where "id" = "visit") v
  )
  select min("last_updated") from said where "version" > coalesce((select max("version") from said where not "has"), 0) $$;

-- I1 overbooked: whoever takes time of an overbooked visit that was there before says why, too
select distinct 'Appointment/' || c."id" || ' (' || c."who" || ')'
from "holding" h join "person" p using ("id")
-- No buffer is longer than a day.
join "claim" c on c."who" = p."who" and c."id" <> h."id" and c."start" < h."end" + interval '2 days' and c."end" > h."start" - interval '2 days'
join "occupancy" forced on forced."appointment" = h."id" and forced."actor" = pg_temp.actor_key(p."who") and forced."override"
join "occupancy" o on o."appointment" = c."id" and o."actor" = forced."actor" and o."during" && forced."during"
cross join lateral (select pg_temp.since(c."id", c."who", c."start", c."end") as "at") came
cross join lateral (
  select count(*) as n, min(b."capacity") as tolerated from "occupancy" b join "holding" x on x."id" = b."appointment"
  where b."actor" = o."actor" and b."during" @> greatest(lower(o."during"), lower(forced."during"))
    and (b."expires" is null or b."expires" > now()) and (b."appointment" = c."id" or pg_temp.since(x."id", c."who", x."start", x."end") <= came."at")) beside
-- Those that came at the same moment were put in order by the database, not by their clocks.
where h."override" and (h."expires" is null or h."expires" > now()) and beside.n > beside.tolerated
  and came."at" > pg_temp.since(h."id", p."who", h."start", h."end") + interval '1 minute';

-- I1 guard: the constraint that keeps visits apart is in force
select 'occupancy_exclude' where not exists (
  select from pg_constraint where conname = 'occupancy_exclude' and conrelid = 'occupancy'::regclass and contype = 'x' and convalidated and conenforced);

-- I2: no lane of anybody is taken twice at a time, buffers included
with step as (
  select "actor", "appointment", sum(n) over (partition by "actor" order by at, n rows unbounded preceding) as together, n
  from (select "actor", "appointment", lower("during") as at, 1 as n from "occupancy" where not "override"
        union all select "actor", "appointment", upper("during"), -1 from "occupancy" where not "override") x
)
select distinct 'Appointment/' || o."appointment" || ' (lane ' || o."lane" || ' of ' || o."capacity" || ')'
from (select distinct "actor", "appointment" from step where n = 1 and together > 1) s join "occupancy" o using ("actor", "appointment")
where o."lane" > o."capacity" or exists (
  select from "occupancy" b where b."actor" = o."actor" and b."appointment" <> o."appointment" and not b."override"
    and b."during" && o."during" and b."lanes" && o."lanes");

-- I5: whoever takes part in a visit is occupied by it, and nobody else is
select coalesce('Appointment/' || p."id" || ' does not occupy ' || p."who", 'Appointment/' || o."appointment" || ' occupies ' || o."actor")
from (select h."id", p."who", p."named", pg_temp.actor_key(p."who") as "actor", h."expires" from "holding" h join "person" p using ("id")) p
full join "occupancy" o on o."appointment" = p."id" and o."actor" = p."actor"
where p."id" is null or (o."appointment" is null and p."named" and (p."expires" is null or p."expires" > now() + interval '1 second'));

-- I5 rows: what occupies says when, until when it is held, and that it is no more than that
select 'Appointment/' || h."id" || ' (' || p."who" || ')'
from "holding" h join "person" p using ("id") join "occupancy" o on o."appointment" = h."id" and o."actor" = pg_temp.actor_key(p."who")
where not o."during" @> tstzrange(h."start", h."end") or o."expires" is distinct from h."expires" or o."tentative" <> (h."status" = 'pending')
  or (p."who" like 'Patient/%' and o."during" <> tstzrange(h."start", h."end")) or (p."who" not like 'Patient/%' and o."override" and not h."override");

-- I5 holds: every hold has its row, and no other appointment has one
select coalesce('Appointment/' || h."id" || ' is held without a row', 'Appointment/' || s."appointment" || ' has a row of a hold')
from (select * from "holding" where "expires" is not null) h full join "scheduling_hold" s on s."appointment" = h."id"
where s."expires" is distinct from h."expires";

-- I5 search: appointments and Slots are found by what they say
select 'Appointment/' || a."id" from "appointment" a cross join lateral (select a."content"::json as doc offset 0) c
where a."status" is distinct from c.doc->>'status' or a."date" is distinct from (c.doc->>'start')::timestamptz
union all
select 'Slot/' || s."id" from "slot" s cross join lateral (select s."content"::json as doc offset 0) c
where s."status" is distinct from c.doc->>'status' or s."start" is distinct from (c.doc->>'start')::timestamptz or s."end" is distinct from (c.doc->>'end')::timestamptz;

-- What is said of a visit of a service: by the Schedule for the service, by it for all of its services, by the service itself. The first wins, parameter by parameter.
create function pg_temp.parameters("schedule" json, "service" json) returns table ("said" json, "rank" int) language sql immutable as $$
  select e, case when pg_temp.extension(e, 'service') is null then 2 else 1 end
  from json_array_elements("schedule"->'extension') e
  where e->>'url' = 'https://kairos.example/fhir/StructureDefinition/scheduling-parameters'
    and coalesce(pg_temp.extension(e, 'service')->'valueReference'->>'reference' = 'HealthcareService/' || ("service"->>'id'), pg_temp.extension(e, 'service') is null)
  union all
  select pg_temp.extension("service", 'https://kairos.example/fhir/StructureDefinition/scheduling-parameters'), 3 $$;

create function pg_temp.parameter("schedule" json, "service" json, "named" text) returns json language sql immutable as $$
  select p from (select pg_temp.extension("said", "named") as p, "rank" from pg_temp.parameters("schedule", "service")) x
  where p is not null order by "rank" limit 1 $$;

-- Rooms and devices of which one is needed; empty: none is.
create function pg_temp.pool("schedule" json, "service" json) returns uuid[] language sql immutable as $$
  select coalesce((
    select array_agg(pg_temp.actor_key(substring(r->'valueReference'->>'reference' from '[^/]+/[^/]+$')))
    from pg_temp.parameters("schedule", "service") p, json_array_elements(p."said"->'extension') r where r->>'url' = 'resource'
    group by p."rank" order by p."rank" limit 1), '{}') $$;

-- Buffers, capacities and rooms of what the Slots ahead offer. Hours may have a capacity of their own: then any that there is will do.
create temporary table "offer" on commit drop as
  with pair as (
    select distinct "schedule", "service"[1] as "service" from "slot" where "start" > now() and "status" <> 'entered-in-error'
  ), known as (
    select p."schedule", p."service", s."content"::json as doc, offered.docs,
      case when p."service" is not null then (select h."content"::json from "healthcare_service" h where p."service" = 'HealthcareService/' || h."id")
        when cardinality(offered.docs) = 1 then offered.docs[1] end as of_service
    from pair p join "schedule" s on p."schedule" = 'Schedule/' || s."id"
    cross join lateral (select coalesce(array_agg(h."content"::json), '{}') as docs, coalesce(array_agg(a), '{}') as names
      from unnest(s."actor") a join "healthcare_service" h on a = 'HealthcareService/' || h."id" and h."active" is distinct from 'false') offered
    where p."service" = any (offered.names) or (p."service" is null and (cardinality(offered.names) > 0 or s."service_type" is null))
  )
  select k."schedule", k."service",
    case when k."service" is null and cardinality(k.docs) > 1 then 0 else coalesce(pg_temp.minutes(pg_temp.parameter(k.doc, k.of_service, 'bufferBefore')->'valueDuration'), 0) end as "before",
    case when k."service" is null and cardinality(k.docs) > 1 then 0 else coalesce(pg_temp.minutes(pg_temp.parameter(k.doc, k.of_service, 'bufferAfter')->'valueDuration'), 0) end as "after",
    array(select distinct c from (
      select coalesce((pg_temp.parameter(k.doc, d, 'capacity')->>'valuePositiveInt')::int, 1) as c
      from unnest(case when k.of_service is not null then array[k.of_service] when cardinality(k.docs) > 0 then k.docs else array[null::json] end) d
      union all
      select (x->>'valuePositiveInt')::int from json_array_elements(pg_temp.extension(k.doc, 'https://kairos.example/fhir/StructureDefinition/schedule-availability')->'extension') hours,
        lateral (select hours union all select inner_hours from json_array_elements(hours->'extension') inner_hours) part(of), lateral (select pg_temp.extension(part.of, 'capacity')) cap(x)
      where x is not null) all_of) as "capacities",
    array(select pg_temp.actor_key(sp."who") from "schedule_person" sp where sp."schedule" = k."schedule") as "actors",
    case when k."service" is null and cardinality(k.docs) > 1 then '{}' else pg_temp.pool(k.doc, k.of_service) end as "pool"
  from known k;

-- The Slots ahead that follow from rules, bookings and blocks, where their status is another than it should be.
create temporary table "wrong" on commit drop as
  select s."id", s."status", (
    select max(h."expires") from "holding" h join "person" p using ("id")
    where h."expires" < now() + interval '1 second' and pg_temp.actor_key(p."who") = any (o."actors" || o."pool")
      and h."start" < s."end" + make_interval(mins => o."after") and h."end" > s."start" - make_interval(mins => o."before")) as "expired"
  from "slot" s join "offer" o on o."schedule" = s."schedule" and o."service" is not distinct from s."service"[1]
  left join "scheduling_slot" x on x."slot" = s."id"
  where s."start" > now() and s."status" <> 'entered-in-error'
    and not exists (select from "scheduling_time" t where t."slot" = s."id" and t."kind" <> 'opening')
    and not exists (select from unnest(case when x."capacity" is null then o."capacities" else array[x."capacity"::int] end) c where s."status" = "scheduling_truth"(s."schedule", s."service"[1], tstzrange(s."start", s."end"),
      tstzrange(s."start" - make_interval(mins => o."before"), s."end" + make_interval(mins => o."after")), o."actors", c, o."pool"));

-- I5 slots: every Slot ahead has the status that follows from blocks and bookings
select 'Slot/' || "id" || ' (' || "status" || ')' from "wrong" where "expired" is null;

-- I11: no hold that has run out keeps a Slot for longer than five seconds
select 'Slot/' || "id" || ' (' || "status" || ')' from "wrong" where "expired" < now() - interval '5 seconds';

-- I9: versions count up by one, none is missing, and what is served says its own
select 'Appointment/' || coalesce(r."id", h."id")
from (select "id", "version", "content"::json->'meta' as meta from "appointment") r
full join (select "id", count(*) as n, min("version") as first, max("version") as last from "appointment_history" group by "id") h using ("id")
where case when r."id" is null then h.n <> h.last or h.first <> 1
  else coalesce(h.n, 0) <> r."version" - 1 or coalesce(h.last, 0) <> r."version" - 1 or meta->>'versionId' <> r."version"::text end
union all
-- Slots that are generated are written anew without leaving versions behind: theirs only go up.
select 'Slot/' || coalesce(r."id", h."id")
from (select "id", "version", "content"::json->'meta' as meta, 'https://kairos.example/fhir/CodeSystem/slot-origin|generated' = any ("_tag") as generated from "slot") r
full join (select "id", count(*) as n, min("version") as first, max("version") as last,
  bool_or("content" like '%"https://kairos.example/fhir/CodeSystem/slot-origin"%') as generated from "slot_history" group by "id") h using ("id")
where case when r."id" is null then not h.generated and (h.n <> h.last or h.first <> 1)
  when meta->>'versionId' <> r."version"::text then true
  when r.generated or h.generated then h.last >= r."version"
  else coalesce(h.n, 0) <> r."version" - 1 or coalesce(h.last, 0) <> r."version" - 1 end
union all
select 'Encounter/' || coalesce(r."id", h."id")
from (select "id", "version", "content"::json->'meta' as meta from "encounter") r
full join (select "id", count(*) as n, min("version") as first, max("version") as last from "encounter_history" group by "id") h using ("id")
where case when r."id" is null then h.n <> h.last or h.first <> 1
  else coalesce(h.n, 0) <> r."version" - 1 or coalesce(h.last, 0) <> r."version" - 1 or meta->>'versionId' <> r."version"::text end;

-- I10: no side effect has waited for longer than five minutes
select 'outbox/' || "id" || ' (' || "topic" || ')' from "outbox" where "status" not in ('done', 'dead') and "available_at" < now() - interval '5 minutes';
