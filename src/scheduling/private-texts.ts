/** What staff writes down for staff: why somebody is away, and why a visit was booked over the rules. @see https://hl7.org/fhir/R4/security.html#access */
import type { Extension } from '@medplum/fhirtypes';
import type { Principal } from '../fhir/access.ts';
import { element, type Withheld } from '../fhir/store/withheld.ts';
import { channelOf } from './channel.ts';
import { AVAILABILITY, OVERRIDE, SLOT_BLOCK } from './urls.ts';

type Extended = Partial<Pick<Extension, 'extension'>>;

const NOTHING: readonly Withheld[] = [];

/** Takes extensions of some names out, at any depth; what holds nothing else goes with them. */
function without({ extension, ...rest }: Extension, names: readonly string[]): Extension[] {
  if (!extension) return [rest];
  const kept = extension.filter((e) => !names.includes(e.url)).flatMap((e) => without(e, names));
  return kept.length > 0 ? [{ ...rest, extension: kept }] : [];
}

/** Without some of the resource's extensions, or parts of them. */
const inExtension = (url: string, shown: (extension: Extension) => readonly Extension[]): Withheld => ({
  mark: url,
  remove(resource) {
    const kept = (resource as Extended).extension?.flatMap((e) => (e.url === url ? shown(e) : [e])) ?? [];
    if (kept.length > 0) resource['extension'] = kept;
    else delete resource['extension'];
  },
});

const AWAY = [inExtension(AVAILABILITY, (e) => without(e, ['description', 'reason', 'name']))];
const COMMENTS = [element('comment'), inExtension(SLOT_BLOCK, (e) => without(e, ['reason']))];
const OVERRIDES = [inExtension(OVERRIDE, () => [])];

/** Of a Schedule: why its physician is not there. */
export const awayReasons = (principal: Principal): readonly Withheld[] =>
  channelOf(principal) === 'staff' ? NOTHING : AWAY;

/** Of an Appointment: that it was booked over the rules, and why. */
export const overrides = (principal: Principal): readonly Withheld[] =>
  channelOf(principal) === 'staff' ? NOTHING : OVERRIDES;

/** Of a Slot: what was said when it was written, and why it was blocked. */
export const slotTexts = (principal: Principal): readonly Withheld[] =>
  channelOf(principal) === 'staff' ? NOTHING : COMMENTS;
