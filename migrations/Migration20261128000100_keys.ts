import { Migration } from '@mikro-orm/migrations';

/**
 * Data keys, each wrapped by a root key that is never here. Several may serve one subject: whoever finds none makes one, and needs to wait for nobody.
 * Deleting those of a subject makes what they sealed unreadable, wherever copies of it lie.
 */
export class Migration20261128000100_keys extends Migration {
  override up(): void {
    this.addSql(`create table "data_key" (
      "id" text collate "C" primary key,
      "kind" text collate "C" not null,
      "subject" text collate "C" not null,
      "kek" text collate "C" not null,
      "wrapped" text not null,
      "created_at" timestamptz not null default now(),
      "uses" bigint not null default 0,
      "retired_at" timestamptz)`);
    // The root key and the number of uses change often, and neither is indexed with what is looked for.
    this.addSql(`create index "data_key_subject" on "data_key" ("kind", "subject") where "retired_at" is null`);
    this.addSql(`create index "data_key_kek" on "data_key" ("kek", "id")`);
    this.addSql(`create index "data_key_retired" on "data_key" ("id") where "retired_at" is not null`);
    this.addSql(`create sequence "data_key_epoch"`);
  }
}
