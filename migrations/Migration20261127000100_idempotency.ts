import { Migration } from '@mikro-orm/migrations';

/**
 * Replies kept under an Idempotency-Key, each committed together with its effect. The key and the request are keyed tags, the reply is sealed and bound
 * to its name. By the database's clock.
 */
export class Migration20261127000100_idempotency extends Migration {
  override up(): void {
    this.addSql(`create table "idempotency" (
      "name" text collate "C" primary key,
      "request" text collate "C" not null,
      "status" smallint not null check ("status" between 200 and 499),
      "head_sealed" text not null,
      "body_sealed" text,
      "created_at" timestamptz not null default now(),
      "expires_at" timestamptz not null)`);
    this.addSql(`create index on "idempotency" ("expires_at")`);
    // Ciphertext does not become smaller.
    this.addSql(`alter table "idempotency" alter column "head_sealed" set storage external`);
    this.addSql(`alter table "idempotency" alter column "body_sealed" set storage external`);
  }
}
