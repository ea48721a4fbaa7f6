import { Migration } from '@mikro-orm/migrations';

/**
 * The Slots that are generated from rules: how far each offer has come, what is peculiar to single Slots (`scheduling_restate` looks at it), and the
 * functions that bring many of them to their true status.
 */
export class Migration20261127000400_generation extends Migration {
  override up(): void {
    // Plans are kept for as long as a connection lives, and may be made when the tables are still empty; to make one anew costs more than to run it.
    const indexed =
      'set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set plan_cache_mode = force_generic_plan';

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

    // When an offer's actors are perhaps not free: what holds their time, and what blocks the Schedule. Every Slot clear of it is free. Of a pool only the one
    // counts that is taken least: while that one is free, not all are taken.
    this.addSql(`create function "scheduling_busy"("of_schedule" text, "actors" uuid[], "span" tstzrange, "pool" uuid[]) returns tstzmultirange language sql stable as $$
      select range_agg(d) from (
        select o."during" as d from "scheduling_rows"(actors, span) o where o."expires" is null or o."expires" > now()
        union all select t."during" from "scheduling_time" t where t."schedule" = of_schedule and t."kind" <> 'opening' and t."during" && span
        union all select unnest(fewest.taken) from (
          select range_agg(o."during") as taken from unnest(pool) room
            left join lateral (select r."during" from "scheduling_rows"(array[room], span) r where r."expires" is null or r."expires" > now()) o on true
            group by room order by count(o."during") limit 1) fewest) x $$`);

    // Brings those Slots of an offer to their true status that have another one, and locks no others. Returns how many they were. Those that name no service
    // are its own, too, where it is the sole one of its Schedule.
    this.addSql(`create function "scheduling_settle"("of_schedule" text, "of_service" text, "sole" boolean, "actors" uuid[], "before" int, "after" int, "most" int,
        "pool" uuid[], "since" timestamptz, "upto" timestamptz) returns int language plpgsql ${indexed} as $$
      declare
        pad_before interval := make_interval(secs => before);
        pad_after interval := make_interval(secs => after);
        busy tstzmultirange := "scheduling_busy"(of_schedule, actors, tstzrange(since - interval '1 day' - pad_before, upto + interval '1 day' + pad_after), pool);
        spans json; amount int;
      begin
        select json_agg(json_build_object('schedule', of_schedule, 'service', of_service, 'plain', case when sole then 'own' end, 'from', "start", 'upto', "end",
                 'before', before, 'after', after, 'capacity', most, 'actors', to_json(actors), 'pool', to_json(pool))), count(*) into spans, amount
        from (
          select s."start", s."end", s."status", x."withdrawn" is true as withdrawn, position('"overbooked":true' in s."content") > 0 as was_over,
            t."status" as truth, t."over"
          from "slot" s left join "scheduling_slot" x on x."slot" = s."id"
          cross join lateral "scheduling_state"(of_schedule, case when s."service" is not null then of_service end, tstzrange(s."start", s."end"),
            tstzrange(s."start" - pad_before, s."end" + pad_after), actors, coalesce(x."capacity", most), pool) t
          where s."schedule" = of_schedule and s."start" >= since and s."start" < upto and s."start" > now()
            and case when s."service" is null then of_service is null or sole else s."service"[1] = of_service end
            and s."status" <> 'entered-in-error'
            and (s."status" <> 'free' or x."withdrawn" or busy && tstzrange(s."start" - pad_before, s."end" + pad_after))
            and not exists (select from "scheduling_time" t where t."slot" = s."id" and t."kind" <> 'opening')
        ) d where d."status" <> d.truth or d.was_over <> d."over" or (d.withdrawn and d.truth = 'free');
        if spans is not null then perform "scheduling_restate"(spans); end if;
        return amount;
      end $$`);
  }
}
