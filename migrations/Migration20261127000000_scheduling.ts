import { Migration } from '@mikro-orm/migrations';

/**
 * Scheduling: what occupies whom (the constraint that makes double-booking impossible), hand-made blocks and openings, live holds,
 * and the functions that keep them and the Slots in one transaction with the appointments.
 */
export class Migration20261127000000_scheduling extends Migration {
  override up(): void {
    // Plans are kept for as long as a connection lives, and may be made when the tables are still empty.
    const indexed = 'set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off';

    this.addSql(`alter table "slot" add "service" text[] collate "C" null`);
    this.addSql(
      `create index "slot_service_gin" on "slot" using gin ("service") with (gin_pending_list_limit = 1024) where "service" is not null`,
    );

    // A visit in lane l that tolerates c at a time holds, of a grid of cells (j, k) numbered 64 j + k, the cell (l, l), the cells (l, k) for k > c and
    // (j, l) for j < l: two visits share no cell exactly when both lanes are within both tolerances.
    this.addSql(`create table "occupancy" (
      "appointment" text collate "C" not null,
      "actor" uuid not null,
      "lanes" int4multirange not null,
      "during" tstzrange not null check (not isempty("during") and not lower_inf("during") and not upper_inf("during")),
      "override" boolean not null,
      "lane" smallint not null check ("lane" between 1 and 32),
      "capacity" smallint not null check ("capacity" between 1 and 32),
      "tentative" boolean not null,
      "expires" timestamptz,
      primary key ("appointment", "actor"),
      constraint "occupancy_exclude" exclude using gist ("actor" with =, "lanes" with &&, "during" with &&) where (not "override"))`);
    this.addSql(`create index "occupancy_override" on "occupancy" ("actor") where "override"`);
    this.addSql(`create table "scheduling_hold" (
      "appointment" text collate "C" primary key,
      "patient" text collate "C",
      "expires" timestamptz not null)`);
    this.addSql(`create index on "scheduling_hold" ("expires")`);
    this.addSql(`create index on "scheduling_hold" ("patient")`);
    // Hand-made Slots: time off, time that others hold, and openings beside the rules.
    this.addSql(`create table "scheduling_time" (
      "slot" text collate "C" primary key,
      "schedule" text collate "C" not null,
      "kind" text not null check ("kind" in ('block', 'busy', 'opening')),
      "services" text[] collate "C",
      "during" tstzrange not null)`);
    this.addSql(`create index on "scheduling_time" using gist ("schedule", "during")`);

    // What the rules of a clinic are read from; raised at the commit of every change, so that whoever reads the number has seen the change.
    this.addSql(`create table "scheduling_revision" ("n" bigint not null) with (fillfactor = 50)`);
    this.addSql(`insert into "scheduling_revision" values (1)`);
    this.addSql(`create function "scheduling_revise"() returns trigger language plpgsql as $$
      begin
        if current_setting('kairos.revised', true) is distinct from pg_current_xact_id()::text then
          perform set_config('kairos.revised', pg_current_xact_id()::text, true);
          update "scheduling_revision" set "n" = "n" + 1;
        end if;
        return null;
      end $$`);
    for (const table of ['schedule', 'healthcare_service', 'location', 'organization', 'practitioner_role']) {
      this.addSql(
        `create constraint trigger "scheduling_revise" after insert or update or delete on "${table}" deferrable initially deferred for each row execute function "scheduling_revise"()`,
      );
    }

    this.addSql(`create function "scheduling_lanes"("l" int, "c" int) returns int4multirange language sql immutable parallel safe as $$
      select case when l = 1 and c = 1 then '{[65,128)}'::int4multirange
        else (select range_agg(r) from (
          select int4range(65 * l, 65 * l + 1) as r
          union all select int4range(64 * l + c + 1, 64 * l + 64)
          union all select int4range(64 * j + l, 64 * j + l + 1) from generate_series(1, l - 1) j) x) end $$`);

    this.addSql(`create function "scheduling_instant"("at" timestamptz) returns text language sql immutable parallel safe as $$
      select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$`);

    // What a Slot's status is in truth, for a span padded by the buffers of its service.
    this.addSql(`create function "scheduling_truth"("schedule" text, "service" text, "span" tstzrange, "padded" tstzrange, "actors" uuid[], "capacity" int)
      returns text language plpgsql stable as $$
      declare found text; rows int; firm int;
      begin
        if exists (select from "scheduling_time" t where t."schedule" = "scheduling_truth"."schedule" and t."kind" <> 'opening' and t."during" && span
                   and (t."services" is null or service is null or service = any (t."services"))) then
          return 'busy-unavailable';
        end if;
        if "scheduling_truth"."capacity" = 1 then
          select count(*), count(*) filter (where not o."tentative") into rows, firm from "occupancy" o
            where o."actor" = any (actors) and o."during" && padded and (o."expires" is null or o."expires" > now());
          return case when rows = 0 then 'free' when firm > 0 then 'busy' else 'busy-tentative' end;
        end if;
        if exists (select from unnest(actors) a where not exists (
            select from generate_series(1, "scheduling_truth"."capacity") l where not exists (
              select from "occupancy" o where o."actor" = a and o."during" && padded and o."lanes" && "scheduling_lanes"(l, "scheduling_truth"."capacity")
                and (o."expires" is null or o."expires" > now())))) then
          return case when exists (select from "occupancy" o where o."actor" = any (actors) and o."during" && padded and not o."tentative")
            then 'busy' else 'busy-tentative' end;
        end if;
        return 'free';
      end $$`);

    // The text of a Slot with another status: every other element stays as it was written.
    this.addSql(`create function "scheduling_slot_text"("content" text, "status" text, "overbooked" boolean, "version" int, "at" timestamptz)
      returns text language sql immutable as $$
      select '{' || string_agg(to_json(k.key)::text || ':' || case k.key
          when 'status' then to_json(status)::text
          when 'meta' then '{"versionId":"' || version || '","lastUpdated":"' || "scheduling_instant"(at) || '"'
            || coalesce((select string_agg(',' || to_json(m.key)::text || ':' || m.value::text, '' order by m.n)
                from json_each(k.value) with ordinality m(key, value, n) where m.key not in ('versionId', 'lastUpdated')), '') || '}'
          else k.value::text end, ',' order by k.n) || case when overbooked then ',"overbooked":true' else '' end || '}'
      from json_each(content::json) with ordinality k(key, value, n) where k.key <> 'overbooked' $$`);

    // Brings the Slots that a change may concern to their true status. The candidates are locked first, in order: what is looked at then is settled.
    this.addSql(`create function "scheduling_restate"("spans" json) returns void language plpgsql ${indexed} as $$
      declare found text[]; at timestamptz := date_trunc('milliseconds', clock_timestamp());
      begin
        select array_agg(distinct s."id") into found
          from json_to_recordset(spans) p(schedule text, service text, "from" timestamptz, upto timestamptz, before int, after int)
          join "slot" s on s."schedule" = p.schedule
            and s."start" < p.upto + make_interval(secs => p.before) and s."start" > p."from" - interval '1 day' - make_interval(secs => p.after)
            and s."end" > p."from" - make_interval(secs => p.after)
            and case when p.service is null then s."service" is null else s."service"[1] = p.service end
          where s."status" <> 'entered-in-error';
        if found is null then return; end if;
        perform from "slot" where "id" = any (found) order by "id" for no key update;
        with truth as (
          select s."id", x."withdrawn" is true as withdrawn,
            "scheduling_truth"(s."schedule", p.service, tstzrange(s."start", s."end"),
              tstzrange(s."start" - make_interval(secs => p.before), s."end" + make_interval(secs => p.after)), p.actors,
              coalesce(x."capacity", p.capacity)) as status,
            exists (select from "occupancy" o where o."actor" = any (p.actors) and o."override" and o."during" && tstzrange(s."start", s."end"))
              or exists (select from "occupancy" o where o."actor" = any (p.actors) and not o."override" and o."during" && tstzrange(s."start", s."end")
                and o."lane" > coalesce(x."capacity", p.capacity)) as over
          from "slot" s
          join (select distinct on (x.schedule, x.service) x.* from json_to_recordset(spans)
                x(schedule text, service text, before int, after int, capacity int, actors uuid[]) order by x.schedule, x.service) p
            on s."schedule" = p.schedule and case when p.service is null then s."service" is null else s."service"[1] = p.service end
          left join "scheduling_slot" x on x."slot" = s."id"
          where s."id" = any (found) and not exists (select from "scheduling_time" t where t."slot" = s."id" and t."kind" <> 'opening')
        ), changed as (
          update "slot" r set "status" = t.status, "version" = r."version" + 1, "last_updated" = at, "method" = 'PUT',
            "content" = "scheduling_slot_text"(r."content", t.status, t.over, r."version" + 1, at)
          from truth t
          where r."id" = t."id" and (t.status <> 'free' or r."start" > now() and not t.withdrawn)
            and (r."status" is distinct from t.status or (position('"overbooked":true' in r."content") > 0) is distinct from t.over)
          returning old."id", old."version", old."last_updated", old."method", old."content", new."schedule", new."service", new."start", new."end", new."status"
        ), gone as (
          -- Given back, and not offered any more: the Schedule is looked at again, for what is offered instead.
          delete from "slot" r using truth t where r."id" = t."id" and t.withdrawn and t.status = 'free' and r."start" > now()
          returning r."id", r."version", r."last_updated", r."method", r."content", r."schedule", r."service", r."start", r."end", 'entered-in-error' as "status"
        ), forgotten as (
          delete from "scheduling_slot" x using gone g where x."slot" = g."id"
        ), kept as (
          insert into "slot_history" ("id", "version", "last_updated", "method", "content")
            select "id", "version", "last_updated", "method", "content" from changed
            union all select "id", "version", "last_updated", "method", "content" from gone
            union all select "id", "version" + 1, at, 'DELETE', null from gone
        ), asked as (
          insert into "outbox" ("topic", "payload")
            select 'generate-slots', jsonb_build_object('released', jsonb_agg(distinct "schedule")) from gone having count(*) > 0
        )
        insert into "outbox" ("topic", "payload", "status")
          select 'event', jsonb_build_object('type', 'Slot', 'id', "id", 'schedule', "schedule", 'service', "service"[1],
            'start', "scheduling_instant"("start"), 'end', "scheduling_instant"("end"), 'status', "status"), 'done'
          from (select "id", "schedule", "service", "start", "end", "status" from changed
            union all select "id", "schedule", "service", "start", "end", "status" from gone) e;
      end $$`);

    // Visits that a cap counts: all that were not cancelled.
    this.addSql(`create function "scheduling_count"("kind" text, "provider" text, "of_service" text, "of_patient" text, "since" timestamptz, "upto" timestamptz)
      returns bigint language sql stable as $$
      select count(*) from "appointment" a
        where a."date" >= since and a."date" < upto and a."status" in ('pending', 'booked', 'arrived', 'checked-in', 'fulfilled', 'noshow')
          and (provider is null or a."practitioner" @> array[provider]) and (of_service is null or a."actor" @> array[of_service])
          and (of_patient is null or a."patient" @> array[of_patient])
          and (kind <> 'new-patient' or not exists (select from "appointment" e where e."patient" && a."patient" and (provider is null or e."practitioner" @> array[provider])
               and e."date" < a."date" and e."status" in ('booked', 'arrived', 'checked-in', 'fulfilled')))
          and not exists (select from "scheduling_hold" h where h."appointment" = a."id" and h."expires" <= now()) $$`);

    // Everything that a change of appointments does to other rows, in one round trip. KS001: somebody is taken; KS002: blocked; KS003: a cap is reached;
    // KS004: too many holds. A serialization failure with the hint `rules`: they have changed since they were read.
    this.addSql(`create function "scheduling_apply"("p" json) returns json language plpgsql ${indexed} as $$
      declare r record; placed boolean; counted int; notes json[] := '{}'; alone boolean;
      begin
        if (p->>'revision') is not null and (p->>'revision')::bigint <> (select "n" from "scheduling_revision") then
          raise exception 'the rules have changed' using errcode = 'serialization_failure', hint = 'rules';
        end if;
        -- Whoever gives time up for which others wait, and then waits for theirs, would wait in a circle. So who moves is alone with its actors; who only takes
        -- time waits for those who move, and in the order of the actors for the others. The locks are few, so that they have room, however many the actors.
        alone := json_array_length(p->'leave') > 0 and (json_array_length(p->'rows') > 0
          or exists (select from "occupancy" o where o."override" and o."actor" in (select (json_array_elements_text(p->'freed'))::uuid)));
        if alone then
          perform pg_advisory_xact_lock(19266, k) from (select distinct hashtext(actor) & 1023 as k from (
            select json_array_elements_text(p->'freed') as actor union select n->>'actor' from json_array_elements(p->'rows') n) a order by 1) l;
        elsif json_array_length(p->'rows') > 0 then
          perform pg_advisory_xact_lock_shared(19266, k) from (select distinct hashtext(n->>'actor') & 1023 as k from json_array_elements(p->'rows') n order by 1) l;
        end if;
        if json_array_length(p->'leave') > 0 then
          delete from "occupancy" where "appointment" in (select json_array_elements_text(p->'leave'));
          delete from "scheduling_hold" where "appointment" in (select json_array_elements_text(p->'leave'));
        end if;
        if json_array_length(p->'caps') > 0 then
          for r in select * from json_to_recordset(p->'caps') c("key" text, "of" text, "practitioner" text, "service" text, "patient" text, "from" timestamptz, "upto" timestamptz, "most" int)
                   order by "key" loop
            perform pg_advisory_xact_lock(hashtextextended(r."key", 0));
            counted := "scheduling_count"(r."of", r."practitioner", r."service", r."patient", r."from", r."upto");
            if counted > r."most" then
              raise exception 'a cap is reached' using errcode = 'KS003', detail = json_build_object('of', r."of", 'most', r."most", 'key', r."key");
            end if;
          end loop;
        end if;
        if json_array_length(p->'rows') > 0 then
          -- What was held and has run out holds nothing; whoever else removes it just now is waited for by the insert.
          delete from "occupancy" where ("appointment", "actor") in (
            select o."appointment", o."actor" from json_to_recordset(p->'rows') n(actor uuid, start timestamptz, "end" timestamptz)
              join "occupancy" o on o."actor" = n.actor and o."during" && tstzrange(n.start, n."end") and o."expires" <= now()
              order by o."actor" for update of o skip locked);
          for r in select * from json_to_recordset(p->'visits') v(appointment text, schedules text[], slots text[], service text, start timestamptz, "end" timestamptz) loop
            update "scheduling_time" set "kind" = 'opening' where "slot" = any (r.slots) and "kind" = 'busy';
            if exists (select from "scheduling_time" t where t."schedule" = any (r.schedules) and t."kind" <> 'opening' and t."during" && tstzrange(r.start, r."end")
                       and (t."services" is null or r.service is null or r.service = any (t."services"))) then
              raise exception 'blocked' using errcode = 'KS002', detail = json_build_object('appointment', r.appointment);
            end if;
          end loop;
          -- In the order of the actors, so that none waits for another in a circle.
          for r in select * from json_to_recordset(p->'rows')
                     n(appointment text, actor uuid, ref text, start timestamptz, "end" timestamptz, capacity int, tentative boolean, expires timestamptz, force text)
                   order by n.actor, n.start, n.appointment loop
            placed := false;
            for l in 1..r.capacity loop
              insert into "occupancy" values (r.appointment, r.actor, "scheduling_lanes"(l, r.capacity), tstzrange(r.start, r."end"), false, l, r.capacity, r.tentative, r.expires)
                on conflict do nothing;
              placed := found;
              exit when placed;
            end loop;
            if not placed then
              if r.force is null then
                raise exception 'taken' using errcode = 'KS001', detail = json_build_object('appointment', r.appointment, 'actor', r.ref);
              end if;
              insert into "occupancy" values (r.appointment, r.actor, "scheduling_lanes"(1, r.capacity), tstzrange(r.start, r."end"), true, 1, r.capacity, r.tentative, r.expires);
              notes := notes || json_build_object('appointment', r.appointment, 'actor', r.ref, 'force', r.force);
            end if;
          end loop;
          for r in select * from json_to_recordset(p->'holds') h(appointment text, patient text, expires timestamptz, most int) order by h.patient loop
            if r.most is not null and r.patient is not null then
              perform pg_advisory_xact_lock(hashtextextended('hold ' || r.patient, 0));
              if (select count(*) from "scheduling_hold" h where h."patient" = r.patient and h."expires" > now()) >= r.most then
                raise exception 'too many holds' using errcode = 'KS004', detail = json_build_object('most', r.most);
              end if;
            end if;
            insert into "scheduling_hold" values (r.appointment, r.patient, r.expires);
          end loop;
        end if;
        if json_array_length(p->'leave') > 0 then
          -- Where an overbooked visit is now alone, the constraint guards it again.
          for r in select o.* from "occupancy" o where o."override" and o."actor" in (select (json_array_elements_text(p->'freed'))::uuid) order by o."actor", o."appointment" for update loop
            delete from "occupancy" where "appointment" = r."appointment" and "actor" = r."actor";
            insert into "occupancy" values (r."appointment", r."actor", r."lanes", r."during", false, r."lane", r."capacity", r."tentative", r."expires") on conflict do nothing;
            if not found then
              insert into "occupancy" values (r."appointment", r."actor", r."lanes", r."during", true, r."lane", r."capacity", r."tentative", r."expires");
            end if;
          end loop;
        end if;
        if json_array_length(p->'spans') > 0 then perform "scheduling_restate"(p->'spans'); end if;
        insert into "outbox" ("topic", "payload", "status") select 'event', e::jsonb, 'done' from json_array_elements(p->'events') e;
        return to_json(notes);
      end $$`);
  }
}
