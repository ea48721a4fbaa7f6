/**
 * Why a visit does not take place, in codes of the system that there is for it; codes of others, and words, are free.
 * @see https://hl7.org/fhir/R4/valueset-appointment-cancellation-reason.html
 */
import { isDeepStrictEqual } from 'node:util';
import type { Appointment, CodeableConcept } from '@medplum/fhirtypes';
import type { Terminology } from '../fhir/engine.ts';
import { badRequest } from '../fhir/outcome.ts';
import type { Channel } from './model/rules.ts';
import { ruleBroken } from './refusal.ts';
import { CANCELLATION_REASON } from './urls.ts';

const REASONS = 'http://hl7.org/fhir/ValueSet/appointment-cancellation-reason';

/** A reason of the patient's side. */
export const isOfPatient = (code: string | undefined): boolean => /^pat(?:-|$)/.test(code ?? '');

interface Objection {
  readonly kind: 'unknown' | 'not-theirs';
  /** Which of the codings. */
  readonly index: number;
  readonly diagnostics: string;
}

/** What speaks against a reason; undefined: nothing. */
function objectionTo(
  terminology: Terminology,
  { coding = [] }: CodeableConcept,
  channel: Channel,
): Objection | undefined {
  const index = coding.findIndex(({ system, code }) => {
    if (system !== CANCELLATION_REASON) return false;
    return terminology.contains(REASONS, system, code ?? '') !== true || (channel === 'patient' && !isOfPatient(code));
  });
  if (index < 0) return undefined;
  const { code = '' } = coding[index] ?? {};
  const known = (terminology.expand(REASONS) ?? []).map((c) => c.code);
  const theirs = known.filter(isOfPatient).join(', ');
  return known.includes(code)
    ? {
        kind: 'not-theirs',
        index,
        diagnostics: `Patients give reasons of their own, not ${code}: use ${theirs}, or words.`,
      }
    : {
        kind: 'unknown',
        index,
        diagnostics: `${code.slice(0, 64)} is no code of ${CANCELLATION_REASON}: use ${channel === 'patient' ? theirs : known.join(', ')}, or words.`,
      };
}

/** Of the parameter of an operation. @throws FhirError 400 for an unknown code, 422 for one that is not theirs */
export function demandReasonGiven(
  terminology: Terminology,
  reason: CodeableConcept | undefined,
  channel: Channel,
  parameter = 'reason',
): void {
  const objection = reason && objectionTo(terminology, reason, channel);
  if (objection?.kind === 'unknown') throw badRequest('code-invalid', objection.diagnostics, parameter);
  if (objection) throw ruleBroken(objection.diagnostics, parameter);
}

/** Of an appointment that somebody writes; what it was before stays as it was. @throws FhirError 422 */
export function demandReasonWritten(
  terminology: Terminology,
  before: Appointment | undefined,
  { cancelationReason: reason }: Appointment,
  channel: Channel,
): void {
  if (!reason || isDeepStrictEqual(before?.cancelationReason, reason)) return;
  const objection = objectionTo(terminology, reason, channel);
  if (objection)
    throw ruleBroken(objection.diagnostics, `Appointment.cancelationReason.coding[${objection.index}].code`);
}
