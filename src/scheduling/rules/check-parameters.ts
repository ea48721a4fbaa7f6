/** What is wrong with rules of booking beyond the shape of the extension. @see https://hl7.org/fhir/R4/healthcareservice.html */
import type { HealthcareService, Schedule } from '@medplum/fhirtypes';
import type { Issue } from '../../fhir/outcome.ts';
import { extensionOf } from '../extension.ts';
import { problemsOf } from '../model/policy.ts';
import { DEFAULT_PARAMETERS } from '../model/rules.ts';
import { PARAMETERS } from '../urls.ts';
import { partsOf, placed, wrong, wrongValue, type Placed } from './places.ts';
import { parametersOf } from './read-parameters.ts';

/** Of a Schedule only what it says itself is certain: the rest is the service's. */
function* sayingIssues(all: Placed, isWhole: boolean): Generator<Issue> {
  const said = parametersOf(all.e);
  const { pool: _, ...rest } = said;
  const parameters = { ...DEFAULT_PARAMETERS, interval: said.duration ?? DEFAULT_PARAMETERS.duration, ...rest };
  for (const { part, text, beside } of problemsOf(parameters)) {
    const [place] = partsOf(all, part);
    if (place && (isWhole || beside === undefined || partsOf(all, beside).length > 0)) yield wrongValue(place, text);
  }
}

function* noticeIssues(all: Placed): Generator<Issue> {
  const channels = new Set<string>();
  for (const each of partsOf(all, 'minimumNotice')) {
    const channel = extensionOf(each.e, 'channel')?.valueCode ?? '';
    if (channels.has(channel)) yield wrong(each, `The channel ${channel} has a minimumNotice already: keep one.`);
    channels.add(channel);
  }
}

function* poolIssues(all: Placed): Generator<Issue> {
  for (const each of partsOf(all, 'resource'))
    if (each.e.valueReference?.reference === undefined)
      yield wrongValue(each, 'A room or device is named by its reference: Location/[id] or Device/[id].');
}

/** Of several only one would count. */
function* doubleIssues(list: readonly Placed[], isSchedule: boolean): Generator<Issue> {
  const services = new Set<string>();
  for (const each of list) {
    const [part] = partsOf(each, 'service');
    if (part && !isSchedule)
      yield wrong(part, 'A service speaks of itself: leave it out; a Schedule says what differs for a service there.');
    const service = isSchedule ? (part?.e.valueReference?.reference ?? '') : '';
    if (services.has(service))
      yield wrong(
        each,
        isSchedule
          ? `The Schedule has scheduling-parameters for ${service === '' ? 'all services' : service} already: keep one.`
          : 'The service has scheduling-parameters already: keep one.',
      );
    services.add(service);
  }
}

export function* parameterIssues(resource: HealthcareService | Schedule): Generator<Issue> {
  const list = placed(resource, resource.resourceType, PARAMETERS);
  const isSchedule = resource.resourceType === 'Schedule';
  for (const all of list) {
    yield* sayingIssues(all, !isSchedule);
    yield* noticeIssues(all);
    yield* poolIssues(all);
  }
  yield* doubleIssues(list, isSchedule);
}
