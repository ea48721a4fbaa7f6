/**
 * What `$validate-code` decides: is a code valid, under the display and options given.
 * @see https://hl7.org/fhir/R4/valueset-operation-validate-code.html
 */
import type { Coding, Parameters } from '@medplum/fhirtypes';
import type { Concept, Terminology } from '../engine.ts';
import type { OperationInput } from '../operation-parameters.ts';
import { badRequest } from '../outcome.ts';
import { brief, withoutVersion } from './model.ts';
import { normalText } from '../search/normal.ts';

export interface CodeVerdict {
  readonly result: boolean;
  readonly message?: string;
  readonly display?: string;
}

const MAX_CODINGS = 100;

/**
 * The codes that a call asks about: `code` (with `system` and `display`), `coding` or `codeableConcept`.
 * @param system system of a plain `code`
 * @throws FhirError 400 unless exactly one of the three is given
 */
export function codingsOf(input: OperationInput, system: string | undefined): readonly Coding[] {
  const given = ['code', 'coding', 'codeableConcept'].filter((n) => input.names.has(n));
  if (given.length !== 1) {
    throw badRequest('required', 'Send exactly one of code, coding and codeableConcept.', given[1] ?? 'code');
  }
  const code = input.text('code');
  const display = input.text('display');
  if (code !== undefined)
    return [{ code, ...(system === undefined ? {} : { system }), ...(display === undefined ? {} : { display }) }];
  const coding = input.coding('coding');
  const codings = coding ? [coding] : (input.codeableConcept('codeableConcept')?.coding ?? []);
  if (codings.length === 0 || codings.some((c) => c.code === undefined)) {
    throw badRequest('required', `Parameter ${given[0]} has no code.`, given[0]);
  }
  if (codings.length > MAX_CODINGS) {
    throw badRequest('too-costly', `Parameter ${given[0]} has more than ${MAX_CODINGS} codings: send fewer.`, given[0]);
  }
  return codings;
}

/** 400: the code system is known, but its codes are not at hand. */
export const notEnumerable = (what: string, parameter: string): Error =>
  badRequest(
    'not-supported',
    `The codes of ${what} are not available here: use a terminology server that holds them.`,
    parameter,
  );

/** Judges a concept that was found. */
function judge(concept: Concept, coding: Coding, input: OperationInput): CodeVerdict {
  const display = concept.display === undefined ? {} : { display: concept.display };
  if (concept.abstract && input.boolean('abstract') === false) {
    return { result: false, message: `${concept.code} is abstract: choose a code below it.`, ...display };
  }
  if (
    coding.display !== undefined &&
    concept.display !== undefined &&
    normalText(coding.display) !== normalText(concept.display)
  ) {
    return { result: false, message: `The display of ${concept.code} is "${concept.display}".`, ...display };
  }
  return { result: true, ...display };
}

/** A code in a code system. @throws FhirError 400 when the system cannot tell */
export function checkInSystem(
  terminology: Terminology,
  url: string,
  coding: Coding,
  input: OperationInput,
): CodeVerdict {
  const code = coding.code ?? '';
  if (coding.system !== undefined && withoutVersion(coding.system) !== url) {
    return { result: false, message: `The code is of ${brief(coding.system)}, not of ${url}.` };
  }
  const concept = terminology.lookup(url, code);
  if (concept) return judge(concept, coding, input);
  if (concept === undefined) throw notEnumerable(url, 'code');
  return { result: false, message: `${brief(code)} is not a code of ${url}.` };
}

/** A code in a value set. @throws FhirError 400 when the value set cannot tell, or the code's system is missing and not implied */
export function checkInValueSet(
  terminology: Terminology,
  url: string,
  coding: Coding,
  input: OperationInput,
): CodeVerdict {
  const code = coding.code ?? '';
  const system = coding.system === undefined ? terminology.systemOf(url) : withoutVersion(coding.system);
  if (system === undefined)
    throw badRequest('required', `${url} draws on several code systems: send the code's system.`, 'system');
  const found = terminology.contains(url, system, code);
  if (found === undefined) throw notEnumerable(`${brief(system)} in ${url}`, 'code');
  if (!found) return { result: false, message: `${brief(`${system}|${code}`)} is not in ${url}.` };
  const concept =
    terminology.expand(url)?.find((c) => c.system === system && c.code === code) ?? terminology.lookup(system, code);
  return judge(concept ?? { system, code }, coding, input);
}

/** Of several codings one valid is enough; an answer that cannot be given counts only when none is valid. */
export function checkAny(codings: readonly Coding[], check: (coding: Coding) => CodeVerdict): CodeVerdict {
  const verdicts: CodeVerdict[] = [];
  const failures: unknown[] = [];
  for (const coding of codings) {
    try {
      const verdict = check(coding);
      if (verdict.result) return verdict;
      verdicts.push(verdict);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return {
    result: false,
    message: verdicts.map((v) => v.message).join(' '),
    ...(verdicts[0]?.display === undefined ? {} : { display: verdicts[0].display }),
  };
}

export const verdictParameters = (verdict: CodeVerdict): Parameters => ({
  resourceType: 'Parameters',
  parameter: [
    { name: 'result', valueBoolean: verdict.result },
    ...(verdict.message === undefined ? [] : [{ name: 'message', valueString: verdict.message }]),
    ...(verdict.display === undefined ? [] : [{ name: 'display', valueString: verdict.display }]),
  ],
});
