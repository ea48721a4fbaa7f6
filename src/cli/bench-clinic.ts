/** The clinic whose times the benchmark looks for and books, in a database that has been prepared: its rules, its Slots, and what is taken of them. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { freeStarts, type FreeStart } from '../bench/bookings.ts';
import { CALENDAR_FORMAT, calendarId, calendarResources, type CalendarSize } from '../bench/calendars.ts';
import { measureGeneration, takeSome } from '../bench/generation.ts';
import { loadResources } from '../bench/load.ts';
import type { Check } from '../bench/report.ts';
import type { Clinic } from '../bench/scheduling.ts';
import { openKairos } from '../compose.ts';
import type { ColumnSource } from '../fhir/search/blind/blind.ts';
import type { ContentCodec } from '../fhir/store/content.ts';
import { loadConfig } from '../platform/config.ts';
import type { EmbeddedPostgres } from '../platform/embedded-postgres.ts';
import { generateSlots } from '../scheduling/generate.ts';

/** The limits of generation are for so many practitioners. */
const THOUSAND = 1000;

export interface ClinicOptions {
  readonly dataDir: string;
  readonly postgres: EmbeddedPostgres;
  readonly source: ColumnSource;
  readonly codec: ContentCodec;
  readonly size: CalendarSize;
  readonly patients: number;
  /** Free times that will be booked at most. */
  readonly bookings: number;
  readonly measuresGeneration: boolean;
  /** Of every server of the measurement. */
  readonly settings: Readonly<Record<string, string>>;
  readonly say: (text: string) => void;
}

/** @returns the clinic, and how long its Slots took where that is asked for */
export async function prepareClinic(options: ClinicOptions): Promise<{ clinic: Clinic; checks: readonly Check[] }> {
  const { dataDir, postgres, source, codec, size, patients, bookings, settings, say } = options;
  const { owner, app } = postgres;
  const name = createHash('sha256')
    .update(JSON.stringify([CALENDAR_FORMAT, size]))
    .digest('hex');
  const marker = path.join(dataDir, `calendars-${name.slice(0, 8)}`);
  if (!existsSync(marker))
    await loadResources(owner, source, calendarResources(size), (line) => say(`loaded ${line}`), codec);
  const kairos = await openKairos(loadConfig({ DATA_DIR: dataDir, DEMO: 'off', LOG_LEVEL: 'warn', ...settings }));
  try {
    const { parts } = kairos.scheduling;
    const directory = await parts.directory.current();
    // As the job does; what is there already, of earlier runs, is left as it is.
    const generate = async (anew = false): Promise<void> => {
      const { created, left } = await generateSlots(parts, anew ? { comparedBefore: Infinity } : {});
      if (left.length > 0) throw new Error(`the Slots of ${left.length} Schedules could not be generated`);
      if (created > 0) say(`generated ${created.toLocaleString('en')} Slots`);
    };
    const checks = options.measuresGeneration
      ? await measureGeneration(owner, generate, size.calendars / THOUSAND, say)
      : [];
    await generate();
    if (!existsSync(marker)) await takeSome(owner);
    await writeFile(marker, '');
    const starts = await freeStarts(app, bookings);
    let next = 0;
    const offerOf: Clinic['offerOf'] = (calendar) => {
      const offer = directory.entry(`Schedule/${calendarId(calendar)}`)?.offers[0];
      if (!offer) throw new Error(`calendar ${calendar} offers nothing`);
      return offer;
    };
    const take = (count: number): readonly FreeStart[] => {
      const some = starts.slice(next, next + count);
      if (some.length === 0) throw new Error('There are no free times left: take another folder for --data');
      next += some.length;
      return some;
    };
    const proposalOf = (start: FreeStart): string => parts.proposals.idOf(offerOf(start.calendar), start.start);
    return { clinic: { size, patients, offerOf, proposalOf, take }, checks };
  } finally {
    await kairos.close();
  }
}
