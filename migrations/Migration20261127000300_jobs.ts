import { Migration } from '@mikro-orm/migrations';

/**
 * What is known of each job, whatever becomes of the queue; and an outbox whose rows are done when their job is. Until then they are `sent`, and are
 * looked after: a queue in memory may forget them.
 */
export class Migration20261127000300_jobs extends Migration {
  override up(): void {
    // One row a job, written at each run: room on its page keeps the index out of it.
    this.addSql(`create table "job_run" (
      "name" text collate "C" primary key,
      "last_started" timestamptz(3),
      "last_succeeded" timestamptz(3),
      "last_failed" timestamptz(3),
      "last_error" text,
      "duration_ms" bigint,
      "runs" bigint not null default 0,
      "failures" bigint not null default 0) with (fillfactor = 50)`);
    this.addSql(`alter table "outbox" add column "error" text null`);
    this.addSql(`alter table "outbox" drop constraint "outbox_status_check"`);
    this.addSql(
      `alter table "outbox" add constraint "outbox_status_check" check ("status" in ('pending', 'sent', 'done', 'dead'))`,
    );
    this.addSql(
      `create index "outbox_unsettled" on "outbox" ("status", "available_at", "id") where "status" in ('sent', 'dead')`,
    );
  }
}
