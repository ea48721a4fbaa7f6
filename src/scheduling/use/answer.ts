/** Answers of the operations of scheduling: a searchset with one Appointment, and what there is to say about it. @see https://profiles.ihe.net/ITI/Scheduling/ITI-117.html */
import type { Access } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import type { OperationReply } from '../../fhir/operation.ts';
import type { Resource } from '@medplum/fhirtypes';
import { toOutcome, type Issue } from '../../fhir/outcome.ts';
import type { PreparedWrite } from '../../fhir/store/repository.ts';
import { shownText } from '../../fhir/store/withheld.ts';
import type { Overlap } from '../project-appointments.ts';
import type { Changed } from './change.ts';

export const overlapIssues = (overlaps: readonly Overlap[]): Issue[] =>
  overlaps.map(({ actor, force }) => ({
    severity: 'warning',
    code: 'business-rule',
    diagnostics:
      force === 'override'
        ? `${actor} is overbooked at this time, as the reason given says.`
        : `${actor} has another appointment at this time.`,
  }));

type Readable = Pick<PreparedWrite, 'id' | 'content' | 'resource'>;
type Served = Pick<Engine, 'baseUrl' | 'resources'>;

/** As somebody may see it who may read it. */
const seen = ({ resources }: Pick<Served, 'resources'>, access: Access, { content }: Readable): string =>
  shownText(resources, 'Appointment', content, access.to('read'));

/** What goes with an answer. */
interface Beside {
  /** Other appointments. */
  readonly included?: readonly Readable[];
  /** What the issues speak of. */
  readonly contained?: readonly Resource[];
}

/** A written appointment as those may read it who wrote it. */
export function answerWith(
  engine: Served,
  access: Access,
  write: Readable,
  issues: readonly Issue[] = [],
  { included = [], contained = [] }: Beside = {},
): OperationReply {
  const entry = (mode: 'match' | 'include', each: Readable): string[] =>
    access.to('read').admits('Appointment', each.resource)
      ? [
          `{"fullUrl":"${engine.baseUrl}/Appointment/${each.id}","resource":${seen(engine, access, each)},"search":{"mode":"${mode}"}}`,
        ]
      : [];
  const said = JSON.stringify(toOutcome(issues, contained));
  const outcome = issues.length > 0 ? [`{"resource":${said},"search":{"mode":"outcome"}}`] : [];
  const entries = [...entry('match', write), ...included.flatMap((each) => entry('include', each))];
  return {
    status: 200,
    body: `{"resourceType":"Bundle","type":"searchset","total":1,"entry":[${[...entries, ...outcome].join(',')}]}`,
    resources: [write, ...included].map(({ id }) => `Appointment/${id}`),
  };
}

/** One appointment, to those who may read it. */
export function appointmentReply(engine: Served, access: Access, { write }: Changed): OperationReply {
  const body = access.to('read').admits('Appointment', write.resource)
    ? seen(engine, access, write)
    : toOutcome([
        { severity: 'information', code: 'informational', diagnostics: `Appointment/${write.id} was changed.` },
      ]);
  return { status: 200, body, resources: [`Appointment/${write.id}`] };
}

/** Of a part of what was found: how much that is, and where the rest begins. */
interface Paged {
  readonly total: number;
  readonly next: string | undefined;
}

/** A searchset of what was asked for, with what it concerns beside it; nobody is shown what they may not read. */
export function bundleOf(
  { baseUrl }: Pick<Served, 'baseUrl'>,
  access: Access,
  matches: readonly Resource[],
  included: readonly Resource[],
  issues: readonly Issue[] = [],
  { total, next }: Paged = { total: matches.length, next: undefined },
): OperationReply {
  const entry = (resource: Resource, mode: 'match' | 'include' | 'outcome'): object => ({
    // What only might be has no address.
    ...(resource.id === undefined ? {} : { fullUrl: `${baseUrl}/${resource.resourceType}/${resource.id}` }),
    resource,
    search: { mode },
  });
  const visible = (list: readonly Resource[]): readonly Resource[] =>
    list.filter((r) => access.to('read').admits(r.resourceType, r));
  const all = [
    ...visible(matches).map((r) => entry(r, 'match')),
    ...visible(included).map((r) => entry(r, 'include')),
    ...(issues.length > 0 ? [entry(toOutcome(issues), 'outcome')] : []),
  ];
  return {
    status: 200,
    body: JSON.stringify({
      resourceType: 'Bundle',
      type: 'searchset',
      total,
      ...(next === undefined ? {} : { link: [{ relation: 'next', url: next }] }),
      ...(all.length > 0 ? { entry: all } : {}),
    }),
    resources: [...matches, ...included].flatMap((r) => (r.id === undefined ? [] : [`${r.resourceType}/${r.id}`])),
  };
}
