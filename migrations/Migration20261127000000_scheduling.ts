import { Migration } from '@mikro-orm/migrations';

/**
 * Scheduling: what occupies whom (the constraint that makes double-booking impossible), hand-made blocks and openings, live holds,
 * and the functions that keep them and the Slots in one transaction with the appointments.
 */
export class Migration20261127000000_scheduling extends Migration {
  override up(): void {
    // Plans are kept for as long as a connection lives, and may be made when the tables are still empty; to make one anew costs more than to run it.
    const indexed =
      'set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set plan_cache_mode = force_generic_plan';

    this.addSql(`alter table "slot" add "service" text[] collate "C" null`);
    this.addSql(
      `create index "slot_service_gin" on "slot" using gin ("service") with (gin_pending_list_limit = 1024) where "service" is not null`,
    );

    // A change of time concerns the Slots that lie in it: the end is looked at without the row.
    this.addSql(`drop index "slot_schedule_start_key"`);
    this.addSql(`create index "slot_schedule_start_end_key" on "slot" ("schedule", "start", "end")`);

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

    // Whose time has changed since, for servers that keep calendars in memory: an actor's week (\`<key>/<weeks since 1970>\`), or a Schedule's blocks
    // and openings (its reference). By triggers, so that no door forgets; a crash loses them, and every server starts anew with it.
    this.addSql(`create unlogged table "scheduling_change" ("xid" xid8 not null default pg_current_xact_id(), "cells" text[] not null)`);
    this.addSql(`create index on "scheduling_change" ("xid")`);
    this.addSql(`create table "scheduling_change_mark" ("upto" xid8 not null, "at" timestamptz not null)`);
    this.addSql(`insert into "scheduling_change_mark" values (pg_snapshot_xmin(pg_current_snapshot()), now())`);
    this.addSql(`create function "scheduling_weeks"("during" tstzrange) returns setof int language sql immutable as $$
      select generate_series(floor(date_part('epoch', lower(during)) / 604800)::int, floor(date_part('epoch', upper(during)) / 604800)::int) $$`);
    const noted: readonly (readonly [table: string, cells: string])[] = [
      ['occupancy', `c."actor"::text || '/' || w from changed c, "scheduling_weeks"(c."during") w`],
      ['scheduling_time', `c."schedule" from changed c`],
    ];
    for (const [table, cells] of noted) {
      this.addSql(`create function "${table}_changed"() returns trigger language plpgsql as $$
        begin
          insert into "scheduling_change" ("cells") select array_agg(distinct cell) from (select ${cells}) x(cell) having count(*) > 0;
          return null;
        end $$`);
      for (const [when, of] of [
        ['insert', 'new'],
        ['delete', 'old'],
        ['update', 'old'],
        ['update', 'new'],
      ] as const) {
        this.addSql(
          `create trigger "${table}_${when}_${of}" after ${when} on "${table}" referencing ${of} table as changed for each statement execute function "${table}_changed"()`,
        );
      }
    }

    // Whoever takes time off, or books over others, has the locks of its actors alone, bookings share them. A serializable booking sees what was there when
    // it began: it asks for rows that those have written, so that it must begin anew. One for each lock.
    this.addSql(`create table "scheduling_fence" ("lock" int primary key, "n" bigint not null) with (fillfactor = 50)`);
    this.addSql(`insert into "scheduling_fence" select k, 0 from generate_series(0, 1023) k`);
    this.addSql(`create function "scheduling_lock_time"("locks" int[]) returns void language plpgsql as $$
      begin
        perform pg_advisory_xact_lock(19266, k) from unnest(locks) k;
        update "scheduling_fence" set "n" = "n" + 1 where "lock" = any (locks);
      end $$`);

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

    this.addSql(`create function "scheduling_instant"("at" timestamptz) returns text language sql stable parallel safe as $$
      select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$`);

    // Rows of actors in a span, those of live holds and of holds that have run out. Written so that each half has its own partial index: without the word
    // of \`override\` the planner would go through the whole primary key.
    this.addSql(`create function "scheduling_rows"("of_actors" uuid[], "span" tstzrange) returns setof "occupancy" language sql stable as $$
      select o.* from unnest(of_actors) a join "occupancy" o on o."actor" = a and o."during" && span where not o."override"
      union all select o.* from unnest(of_actors) a join "occupancy" o on o."actor" = a and o."during" && span where o."override" $$`);

    // Lanes that one more visit may take: those that are free, less the highest of them for visits that are there beside the lanes, or in lanes that one of
    // these does not tolerate. `held`: what is only held counts, too.
    this.addSql(`create function "scheduling_open"("of_actor" uuid, "span" tstzrange, "tolerated" int, "held" boolean = true) returns int[] language sql stable as $$
      with o as (select r.* from "scheduling_rows"(array[of_actor], span) r where (held or not r."tentative") and (r."expires" is null or r."expires" > now())),
        beside as (select min(o."capacity") as most, count(*)::int as n from o where o."override")
      select coalesce((array_agg(l order by l))[1:count(*)::int
          - (select case when beside.n = 0 then 0 else beside.n + (select count(*)::int from o where not o."override" and o."lane" > least("tolerated", beside.most)) end from beside)], '{}')
        from generate_series(1, least("tolerated", (select beside.most from beside))) l
        where not exists (select from o where not o."override" and o."lanes" && "scheduling_lanes"(l, "tolerated")) $$`);

    // Whether one of several rooms has a lane for the whole span, beside what is booked there and, if it counts, what is only held.
    this.addSql(`create function "scheduling_has_room"("rooms" uuid[], "span" tstzrange, "capacity" int, "held" boolean) returns boolean language sql stable as $$
      select exists (select from unnest(rooms) room where cardinality("scheduling_open"(room, span, capacity, held)) > 0) $$`);

    // What a Slot's status is in truth, for a span padded by the buffers of its service, and whether somebody has it twice. All actors are needed, and of
    // the pool one, unless it is empty.
    this.addSql(`create function "scheduling_state"("schedule" text, "service" text, "span" tstzrange, "padded" tstzrange, "actors" uuid[], "capacity" int,
        "pool" uuid[], out "status" text, out "over" boolean) language plpgsql stable as $$
      declare held int; firm int; full_up boolean;
      begin
        select count(*) filter (where o."expires" is null or o."expires" > now()),
            count(*) filter (where not o."tentative" and (o."expires" is null or o."expires" > now())),
            coalesce(bool_or((o."override" or o."lane" > "scheduling_state"."capacity") and o."during" && span and (o."expires" is null or o."expires" > now())), false)
          into held, firm, "over" from "scheduling_rows"(actors, padded) o;
        if exists (select from "scheduling_time" t where t."schedule" = "scheduling_state"."schedule" and t."kind" <> 'opening' and t."during" && span
                   and (t."services" is null or "scheduling_state"."service" is null or "scheduling_state"."service" = any (t."services"))) then
          "status" := 'busy-unavailable';
          return;
        end if;
        full_up := held > 0;
        if full_up and "scheduling_state"."capacity" > 1 then
          full_up := exists (select from unnest(actors) a where cardinality("scheduling_open"(a, padded, "scheduling_state"."capacity")) = 0);
        end if;
        "status" := case when not full_up then 'free' when firm > 0 then 'busy' else 'busy-tentative' end;
        if cardinality("pool") > 0 and "status" <> 'busy' and not "scheduling_has_room"("pool", padded, "scheduling_state"."capacity", true) then
          "status" := case when "scheduling_has_room"("pool", padded, "scheduling_state"."capacity", false) then 'busy-tentative' else 'busy' end;
        end if;
      end $$`);
    this.addSql(`create function "scheduling_truth"("schedule" text, "service" text, "span" tstzrange, "padded" tstzrange, "actors" uuid[], "capacity" int, "pool" uuid[])
      returns text language sql stable as $$ select "status" from "scheduling_state"(schedule, service, span, padded, actors, capacity, pool) $$`);

    // The text of a Slot with another status: every other element stays as it was written. Names that occur once are those of the Slot itself (an unescaped
    // quote is never part of a string); where they occur in a contained resource as well, or are written in another way than ours, the text is taken apart.
    this.addSql(`create function "scheduling_slot_text"("was" "slot", "status" text, "overbooked" boolean, "version" int, "at" timestamptz)
      returns text language plpgsql stable as $$
      declare
        content text := was."content"; is_text text;
        bare text := replace(replace(replace(content, '"status":"', ''), '"versionId":"', ''), '"lastUpdated":"', '');
        is_version text := '"versionId":"' || version || '"'; is_at text := '"lastUpdated":"' || "scheduling_instant"(at) || '"';
      begin
        if not overbooked and position('"overbooked":' in content) = 0 and length(content) - length(bare) = length('"status":""versionId":""lastUpdated":"') then
          is_text := replace(replace(replace(content, '"status":"' || was."status" || '"', '"status":"' || status || '"'),
            '"versionId":"' || was."version" || '"', is_version), '"lastUpdated":"' || "scheduling_instant"(was."last_updated") || '"', is_at);
          if position('"status":"' || status || '"' in is_text) > 0 and position(is_version in is_text) > 0 and position(is_at in is_text) > 0 then
            return is_text;
          end if;
        end if;
        return (select '{' || string_agg(to_json(k.key)::text || ':' || case k.key
            when 'status' then to_json(status)::text
            when 'meta' then '{"versionId":"' || version || '","lastUpdated":"' || "scheduling_instant"(at) || '"'
              || coalesce((select string_agg(',' || to_json(m.key)::text || ':' || m.value::text, '' order by m.n)
                  from json_each(k.value) with ordinality m(key, value, n) where m.key not in ('versionId', 'lastUpdated')), '') || '}'
            else k.value::text end, ',' order by k.n) || case when overbooked then ',"overbooked":true' else '' end || '}'
          from json_each(content::json) with ordinality k(key, value, n) where k.key <> 'overbooked');
      end $$`);

    // Brings the Slots that a change may concern to their true status. All are locked first, in the order of their ids: what is seen then is settled.
    // \`plain\`: the span is also of Slots that name no service; they are as those of the service if the Schedule offers no other (\`own\`), and else
    // (\`bare\`) a visit there has no buffers and needs no room.
    this.addSql(`create type "scheduling_locked" as ("id" text, "service" text, "before" int, "after" int, "capacity" int, "actors" uuid[], "pool" uuid[])`);
    this.addSql(`create function "scheduling_restate"("spans" json) returns void language plpgsql ${indexed} as $$
      declare locked "scheduling_locked"[]; released text[]; at timestamptz := date_trunc('milliseconds', clock_timestamp());
      begin
        select array_agg((l."id", l."of_service", l."before", l."after", l."capacity", l."actors", l."pool")::"scheduling_locked") into locked from (
          select r."id", case when r."service" is not null then p.service end as "of_service", case when bare then 0 else p.before end as "before",
              case when bare then 0 else p.after end as "after", p.capacity, p.actors, case when not bare then p.pool end as "pool"
            from json_to_recordset(spans)
              p(schedule text, service text, plain text, "from" timestamptz, upto timestamptz, before int, after int, capacity int, actors uuid[], pool uuid[])
            join "slot" r on r."schedule" = p.schedule
              and r."start" < p.upto + make_interval(secs => p.before) and r."start" > p."from" - interval '1 day' - make_interval(secs => p.after)
              and r."end" > p."from" - make_interval(secs => p.after)
              and case when r."service" is null then p.service is null or p.plain is not null else r."service"[1] = p.service end
            cross join lateral (select r."service" is null and coalesce(p.plain = 'bare', false) as bare) b
            where r."status" <> 'entered-in-error'
            order by r."id" for no key update of r) l;
        if locked is null then return; end if;
        with judged as materialized (
          select distinct on (r."id") r.*, l."actors", l."pool", t."status" as "truth", t."over", t."status" = 'free' and coalesce(y."withdrawn", false) as "leaves",
              r."status" is distinct from t."status" or (position('"overbooked":true' in r."content") > 0) <> t."over" as "differs"
            from unnest(locked) l join "slot" r on r."id" = l."id" left join "scheduling_slot" y on y."slot" = r."id"
            cross join lateral "scheduling_state"(r."schedule", l."service", tstzrange(r."start", r."end"),
              tstzrange(r."start" - make_interval(secs => l."before"), r."end" + make_interval(secs => l."after")), l."actors", coalesce(y."capacity", l."capacity"), l."pool") t
            where (t."status" <> 'free' or r."start" > now())
              and not exists (select from "scheduling_time" x where x."slot" = r."id" and x."kind" <> 'opening')
            order by r."id"),
        -- Who takes or frees another of its actors at this moment, and sees the calendar as it was before this, must notice that they are late: of a row
        -- that was only locked they would not.
        noticed as (
          update "slot" s set "version" = s."version" from judged j
            where s."id" = j."id" and not j."differs" and not j."leaves" and cardinality(j."actors" || j."pool") > 1),
        -- Given back, and not offered any more: the Schedule is looked at again, for what is offered instead.
        gone as (
          delete from "slot" s using judged j where s."id" = j."id" and j."leaves"
            returning s."id", s."version", s."last_updated", s."method", s."content", s."schedule", s."service", s."start", s."end", 'entered-in-error' as "now"),
        forgotten as (delete from "scheduling_slot" y using gone g where y."slot" = g."id"),
        restated as (
          update "slot" s set "status" = j."truth", "version" = s."version" + 1, "last_updated" = at, "method" = 'PUT',
              "content" = "scheduling_slot_text"(s, j."truth", j."over", s."version" + 1, at)
            from judged j where s."id" = j."id" and j."differs" and not j."leaves"
            returning s."id", j."version", j."last_updated", j."method", j."content", s."schedule", s."service", s."start", s."end", s."status" as "now"),
        changed as (select * from restated union all select * from gone),
        kept as (
          insert into "slot_history" ("id", "version", "last_updated", "method", "content")
            select "id", "version", "last_updated", "method", "content" from changed
            union all select "id", "version" + 1, at, 'DELETE', null from gone),
        told as (
          insert into "outbox" ("topic", "payload", "status")
            select 'event', jsonb_build_object('type', 'Slot', 'id', "id", 'schedule', "schedule", 'service', "service"[1],
              'start', "scheduling_instant"("start"), 'end', "scheduling_instant"("end"), 'status', "now"), 'done' from changed)
        select array_agg(distinct "schedule") into released from gone;
        if released is not null then
          insert into "outbox" ("topic", "payload") values ('generate-slots', jsonb_build_object('released', to_jsonb(released)));
        end if;
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
    // KS004: too many holds. A serialization failure with the hint \`rules\`: they have changed since they were read.
    this.addSql(`create function "scheduling_apply"("p" json) returns json language plpgsql ${indexed} as $$
      declare a record; r record; placed boolean; count int; total int; notes json[] := '{}'; moves boolean; alone boolean; given_back tstzmultirange;
        kept "occupancy"[]; open int[];
      begin
        -- Taken apart once: each look into a text of JSON goes through the whole of it.
        select x.*, (select "n" from "scheduling_revision") as "revision_now" into a from json_to_record(p) x("revision" bigint, "leave" text[], "freed" uuid[],
          "locks" int[], "caps" json, "visits" json, "rows" json, "groups" boolean, "forced" boolean, "holds" json, "spans" json,
          "events" json);
        if a."revision" <> a."revision_now" then
          raise exception 'the rules have changed' using errcode = 'serialization_failure', hint = 'rules';
        end if;
        total := json_array_length(a."rows");
        moves := cardinality(a."leave") > 0;
        -- Whoever gives time up for which others wait, and then waits for theirs, would wait in a circle. So who moves is alone with its actors; who only takes
        -- time waits for those who move, and in the order of the actors for the others. The locks are few, so that they have room, however many the actors.
        -- Who overbooks is alone, too: no constraint has others see it, so they wait, and look; and raises the fence, for those whose look is older.
        alone := a."forced" or moves and (total > 0 or exists (select from "occupancy" o where o."override" and o."actor" = any (a."freed")));
        if a."forced" then
          perform "scheduling_lock_time"(a."locks");
        elsif alone then
          perform pg_advisory_xact_lock(19266, k) from unnest(a."locks") k;
        elsif total > 0 then
          perform pg_advisory_xact_lock_shared(19266, k) from unnest(a."locks") k;
        end if;
        -- Who had to wait may have waited for a Schedule to be deleted.
        if (alone or total > 0) and a."revision" <> (select "n" from "scheduling_revision") then
          raise exception 'the rules have changed' using errcode = 'serialization_failure', hint = 'rules';
        end if;
        -- What is blocked is looked for only now that nobody blocks, and by who sees all that was.
        if total > 0 and current_setting('transaction_isolation') = 'serializable' then
          perform from "scheduling_fence" where "lock" = any (a."locks") for share;
        end if;
        if moves then
          with given as (delete from "occupancy" o where o."appointment" = any (a."leave")
              returning o."during", o as "row", not o."override" and (o."expires" is null or o."expires" > now()) as "held")
            select range_agg("during"), array_agg("row") filter (where "held") into given_back, kept from given;
          delete from "scheduling_hold" where "appointment" = any (a."leave");
        end if;
        if json_array_length(a."caps") > 0 then
          for r in select * from json_to_recordset(a."caps") c("key" text, "of" text, "practitioner" text, "service" text, "patient" text, "from" timestamptz, "upto" timestamptz, "most" int)
                   order by "key" loop
            perform pg_advisory_xact_lock(hashtextextended(r."key", 0));
            count := "scheduling_count"(r."of", r."practitioner", r."service", r."patient", r."from", r."upto");
            if count > r."most" then
              raise exception 'a cap is reached' using errcode = 'KS003', detail = json_build_object('of', r."of", 'most', r."most", 'key', r."key");
            end if;
          end loop;
        end if;
        if total > 0 then
          for r in select * from json_to_recordset(a."visits") v(appointment text, schedules text[], slots text[], service text, start timestamptz, "end" timestamptz, keeps boolean) loop
            -- An update tells the calendars, even of nothing.
            if exists (select from "scheduling_time" where "slot" = any (r.slots) and "kind" = 'busy') then
              update "scheduling_time" set "kind" = 'opening' where "slot" = any (r.slots) and "kind" = 'busy';
            end if;
            if exists (select from "scheduling_time" t where t."schedule" = any (r.schedules) and t."kind" <> 'opening' and t."during" && tstzrange(r.start, r."end")
                       and (t."services" is null or r.service is null or r.service = any (t."services")))
                and not (r.keeps and exists (select from unnest(kept) k where k."appointment" = r.appointment and k."during" @> tstzrange(r.start, r."end"))) then
              raise exception 'blocked' using errcode = 'KS002', detail = json_build_object('appointment', r.appointment);
            end if;
          end loop;
          -- What was held and has run out holds nothing; whoever else removes it just now is waited for by the insert.
          if exists (select from "scheduling_hold" where "expires" <= now()) then
            delete from "occupancy" where ("appointment", "actor") in (
              select o."appointment", o."actor" from json_to_recordset(a."rows") n(actor uuid, start timestamptz, "end" timestamptz)
                join "occupancy" o on o."actor" = n.actor and o."during" && tstzrange(n.start, n."end") and o."expires" <= now() and not o."override"
                order by o."actor" for update of o skip locked);
          end if;
          -- In the order of the actors, so that none waits for another in a circle: all at once where nobody has several visits at a time. The time of an
          -- overbooked visit is taken as well, but from those who had theirs before.
          count := 0;
          if not a."groups" then
            insert into "occupancy" select n.appointment, n.actor, '{[65,128)}', tstzrange(n.start, n."end"), false, 1, 1, n.tentative, n.expires
              from json_to_recordset(a."rows") n(appointment text, actor uuid, start timestamptz, "end" timestamptz, tentative boolean, expires timestamptz)
              where not exists (select from "occupancy" o where o."override" and o."actor" = n.actor and o."during" && tstzrange(n.start, n."end")
                and (o."expires" is null or o."expires" > now()) and not exists (select from unnest(kept) k
                  where k."appointment" = n.appointment and k."actor" = n.actor and k."during" @> tstzrange(n.start, n."end")))
              order by n.actor, n.start, n.appointment on conflict do nothing;
            get diagnostics count = row_count;
          end if;
          if count < total then
            for r in select * from json_to_recordset(a."rows")
                       n(appointment text, actor uuid, ref text, start timestamptz, "end" timestamptz, capacity int, tentative boolean, expires timestamptz, force text)
                     where a."groups" or not exists (select from "occupancy" o where o."appointment" = n.appointment and o."actor" = n.actor and o."during" = tstzrange(n.start, n."end"))
                     order by n.actor, n.start, n.appointment loop
              placed := false;
              open := case when exists (select from "occupancy" o where o."override" and o."actor" = r.actor and o."during" && tstzrange(r.start, r."end"))
                  and not exists (select from unnest(kept) k
                    where k."appointment" = r.appointment and k."actor" = r.actor and k."during" @> tstzrange(r.start, r."end"))
                then "scheduling_open"(r.actor, tstzrange(r.start, r."end"), r.capacity) end;
              for l in 1..case when a."groups" then r.capacity else 0 end loop
                continue when l <> all (open);
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
          end if;
        end if;
        if total > 0 and json_array_length(a."holds") > 0 then
          for r in select * from json_to_recordset(a."holds") h(appointment text, patient text, expires timestamptz, most int) order by h.patient loop
            if r.most is not null and r.patient is not null then
              perform pg_advisory_xact_lock(hashtextextended('hold ' || r.patient, 0));
              if (select count(*) from "scheduling_hold" h where h."patient" = r.patient and h."expires" > now()) >= r.most then
                raise exception 'too many holds' using errcode = 'KS004', detail = json_build_object('most', r.most);
              end if;
            end if;
            insert into "scheduling_hold" values (r.appointment, r.patient, r.expires);
          end loop;
        end if;
        if moves then
          -- Where an overbooked visit could now be booked plainly, the constraint guards it again.
          for r in select o.* from "occupancy" o where o."override" and o."actor" = any (a."freed") and (given_back is null or o."during" && given_back)
                   order by o."actor", o."appointment" for update loop
            delete from "occupancy" where "appointment" = r."appointment" and "actor" = r."actor";
            placed := false;
            open := "scheduling_open"(r."actor", r."during", r."capacity");
            for l in 1..r."capacity" loop
              continue when l <> all (open);
              insert into "occupancy" values (r."appointment", r."actor", "scheduling_lanes"(l, r."capacity"), r."during", false, l, r."capacity", r."tentative", r."expires")
                on conflict do nothing;
              placed := found;
              exit when placed;
            end loop;
            if not placed then
              insert into "occupancy" values (r."appointment", r."actor", r."lanes", r."during", true, r."lane", r."capacity", r."tentative", r."expires");
            end if;
          end loop;
        end if;
        if json_array_length(a."spans") > 0 then
          -- What was taken with buffers that have changed since is given back with those.
          if moves and not given_back <@ (select range_agg(tstzrange(x."from", x.upto)) from json_to_recordset(a."spans") x("from" timestamptz, upto timestamptz)) then
            perform "scheduling_restate"((
              select json_agg(s::jsonb || jsonb_build_object('from', least(x."from", g.since), 'upto', greatest(x.upto, g.upto)))
              from json_array_elements(a."spans") s cross join lateral json_to_record(s) x("from" timestamptz, upto timestamptz) left join lateral (select min(lower(d)) as since, max(upper(d)) as upto from unnest(given_back) d where d && tstzrange(x."from", x.upto)) g on true));
          else
            perform "scheduling_restate"(a."spans");
          end if;
        end if;
        insert into "outbox" ("topic", "payload", "status") select 'event', e::jsonb, 'done' from json_array_elements(a."events") e;
        return to_json(notes);
      end $$`);
  }
}
