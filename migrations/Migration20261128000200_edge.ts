import { Migration } from '@mikro-orm/migrations';

/** How many requests came from which source in a window of ten seconds, of all processes; sources are keyed tags. A crash may lose it. */
export class Migration20261128000200_edge extends Migration {
  override up(): void {
    this.addSql(`create unlogged table "rate_count" (
      "window" int8 not null,
      "source" text collate "C" not null,
      "count" int not null,
      primary key ("window", "source"))`);
  }
}
