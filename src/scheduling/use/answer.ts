/** Answers of the operations of scheduling: a searchset with one Appointment, and what there is to say about it. @see https://profiles.ihe.net/ITI/Scheduling/ITI-117.html */
import type { Access } from '../../fhir/access.ts';
import type { OperationReply } from '../../fhir/operation.ts';
import { toOutcome, type Issue } from '../../fhir/outcome.ts';
import type { PreparedWrite } from '../../fhir/store/repository.ts';
import type { Overlap } from '../project-appointments.ts';

export const overlapIssues = (overlaps: readonly Overlap[]): Issue[] =>
  overlaps.map(({ actor, force }) => ({
    severity: 'warning',
    code: 'business-rule',
    diagnostics:
      force === 'override'
        ? `${actor} is overbooked at this time, as the reason given says.`
        : `${actor} has another appointment at this time.`,
  }));

/** A written appointment as those may read it who wrote it. */
export function answerWith(
  baseUrl: string,
  access: Access,
  write: Pick<PreparedWrite, 'id' | 'content' | 'resource'>,
  issues: readonly Issue[] = [],
): OperationReply {
  const mayRead = access.to('read').admits('Appointment', write.resource);
  const outcome =
    issues.length > 0 ? [`{"resource":${JSON.stringify(toOutcome(issues))},"search":{"mode":"outcome"}}`] : [];
  const entries = mayRead
    ? [`{"fullUrl":"${baseUrl}/Appointment/${write.id}","resource":${write.content},"search":{"mode":"match"}}`]
    : [];
  return {
    status: 200,
    body: `{"resourceType":"Bundle","type":"searchset","total":1,"entry":[${[...entries, ...outcome].join(',')}]}`,
    resources: [`Appointment/${write.id}`],
  };
}
