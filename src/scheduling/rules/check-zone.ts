/** Whether a place is in a time zone that there is. @see https://hl7.org/fhir/extensions/StructureDefinition-timezone.html */
import type { Location, Organization } from '@medplum/fhirtypes';
import type { Issue } from '../../fhir/outcome.ts';
import { zoneOf } from '../model/zone.ts';
import { TIMEZONE } from '../urls.ts';
import { placed, wrong, wrongValue, type Placed } from './places.ts';

export function* zoneIssues(zone: Placed): Generator<Issue> {
  const name = zone.e.valueCode;
  if (name !== undefined && zoneOf(name)) return;
  yield wrongValue(
    zone,
    name === undefined
      ? 'The time zone has no valueCode: add one, such as America/New_York.'
      : `There is no time zone ${name.slice(0, 64)}: use a name of the IANA database, such as America/New_York.`,
  );
}

export function* placeIssues(place: Location | Organization): Generator<Issue> {
  const [first, ...more] = placed(place, place.resourceType, TIMEZONE);
  if (first) yield* zoneIssues(first);
  for (const each of more) yield wrong(each, 'A place is in one time zone: keep one of them.');
}
