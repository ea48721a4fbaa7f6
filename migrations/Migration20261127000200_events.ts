import { Migration } from '@mikro-orm/migrations';

/**
 * Events are read by the transaction that wrote them: what a snapshot did not see yet is found by its transaction, whatever the order of commits.
 * The default is the same for all rows of a statement, so that rows that are there already are not rewritten: they count as written by this migration.
 */
export class Migration20261127000200_events extends Migration {
  override up(): void {
    this.addSql(`alter table "outbox" add column "xid" xid8 not null default pg_current_xact_id()`);
    this.addSql(`create index "outbox_event" on "outbox" ("xid") where "topic" = 'event'`);
  }
}
