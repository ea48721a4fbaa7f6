import { Migration } from '@mikro-orm/migrations';

/**
 * The Slots that are generated from rules: how far each offer has come, what is peculiar to single Slots, and the functions that give them their true
 * status. `scheduling_restate` is the one of the migration before, with these peculiarities.
 */
export class Migration20261127000400_generation extends Migration {
  override up(): void {
    // A service of a Schedule ('': it names none): by which rules its Slots were made, up to when, and when they were last looked at one by one.
    this.addSql(`create table "scheduling_generated" (
      "schedule" text collate "C" not null,
      "service" text collate "C" not null,
      "rules" text not null,
      "upto" timestamptz not null,
      "compared" timestamptz not null,
      primary key ("schedule", "service"))`);

    // Generated Slots that differ from what their offer says of all: how many visits they hold, or that they are taken and not offered any more.
    this.addSql(`create table "scheduling_slot" (
      "slot" text collate "C" primary key,
      "schedule" text collate "C" not null,
      "capacity" smallint check ("capacity" between 1 and 32),
      "withdrawn" boolean not null default false)`);
    this.addSql(`create index on "scheduling_slot" ("schedule") where "withdrawn"`);

    // Up to when a job has looked.
    this.addSql(`create table "scheduling_progress" ("job" text primary key, "at" timestamptz not null)`);

    // A Slot whose time is given back although it is not offered any more goes, and its Schedule is looked at again: perhaps another one takes its place.
    this.addSql(`create or replace function "scheduling_restate"("spans" json) returns void language plpgsql as $$
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
          select distinct on (s."id") s."id", x."withdrawn" is true as withdrawn,
            "scheduling_truth"(s."schedule", p.service, tstzrange(s."start", s."end"),
              tstzrange(s."start" - make_interval(secs => p.before), s."end" + make_interval(secs => p.after)), p.actors,
              coalesce(x."capacity", p.capacity)) as status,
            exists (select from "occupancy" o where o."actor" = any (p.actors) and o."override" and o."during" && tstzrange(s."start", s."end"))
              or exists (select from "occupancy" o where o."actor" = any (p.actors) and not o."override" and o."during" && tstzrange(s."start", s."end")
                and o."lane" > coalesce(x."capacity", p.capacity)) as over
          from "slot" s
          join json_to_recordset(spans) p(schedule text, service text, before int, after int, capacity int, actors uuid[]) on s."schedule" = p.schedule
            and case when p.service is null then s."service" is null else s."service"[1] = p.service end
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
          insert into "outbox" ("topic", "payload") select 'generate-slots', jsonb_build_object('released', jsonb_agg(distinct "schedule")) from gone having count(*) > 0
        )
        insert into "outbox" ("topic", "payload", "status")
          select 'event', jsonb_build_object('type', 'Slot', 'id', "id", 'schedule', "schedule", 'service', "service"[1],
            'start', "scheduling_instant"("start"), 'end', "scheduling_instant"("end"), 'status', "status"), 'done'
          from (select "id", "schedule", "service", "start", "end", "status" from changed
            union all select "id", "schedule", "service", "start", "end", "status" from gone) e;
      end $$`);

    // When an offer's actors are perhaps not free: what holds their time, and what blocks the Schedule. Every Slot clear of it is free.
    this.addSql(`create function "scheduling_busy"("of_schedule" text, "actors" uuid[], "span" tstzrange) returns tstzmultirange language sql stable as $$
      select range_agg(d) from (
        select o."during" as d from "occupancy" o where o."actor" = any (actors) and o."during" && span and (o."expires" is null or o."expires" > now())
        union all select t."during" from "scheduling_time" t where t."schedule" = of_schedule and t."kind" <> 'opening' and t."during" && span) x $$`);

    // Brings those Slots of an offer to their true status that have another one, and locks no others. Returns how many they were.
    this.addSql(`create function "scheduling_settle"("of_schedule" text, "of_service" text, "actors" uuid[], "before" int, "after" int, "most" int,
        "since" timestamptz, "upto" timestamptz) returns int language plpgsql as $$
      declare
        pad_before interval := make_interval(secs => before);
        pad_after interval := make_interval(secs => after);
        busy tstzmultirange := "scheduling_busy"(of_schedule, actors, tstzrange(since - interval '1 day' - pad_before, upto + interval '1 day' + pad_after));
        spans json; amount int;
      begin
        select json_agg(json_build_object('schedule', of_schedule, 'service', of_service, 'from', "start", 'upto', "end",
                 'before', before, 'after', after, 'capacity', most, 'actors', to_json(actors))), count(*) into spans, amount
        from (
          select s."start", s."end", s."status", x."withdrawn" is true as withdrawn, position('"overbooked":true' in s."content") > 0 as is_over,
            "scheduling_truth"(of_schedule, of_service, tstzrange(s."start", s."end"), tstzrange(s."start" - pad_before, s."end" + pad_after), actors,
              coalesce(x."capacity", most)) as truth,
            exists (select from "occupancy" o where o."actor" = any (actors) and o."during" && tstzrange(s."start", s."end")
              and (o."override" or o."lane" > coalesce(x."capacity", most))) as over
          from "slot" s left join "scheduling_slot" x on x."slot" = s."id"
          where s."schedule" = of_schedule and s."start" >= since and s."start" < upto and s."start" > now()
            and case when of_service is null then s."service" is null else s."service"[1] = of_service end
            and s."status" <> 'entered-in-error'
            and (s."status" <> 'free' or x."withdrawn" or busy && tstzrange(s."start" - pad_before, s."end" + pad_after))
            and not exists (select from "scheduling_time" t where t."slot" = s."id" and t."kind" <> 'opening')
        ) d where d."status" <> d.truth or d.is_over <> d.over or (d.withdrawn and d.truth = 'free');
        if spans is not null then perform "scheduling_restate"(spans); end if;
        return amount;
      end $$`);
  }
}
