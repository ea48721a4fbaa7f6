/** Collects issues with the path of the element that is being looked at. */
import type { Issue, IssueCode } from '../outcome.ts';

/** Most issues in one outcome: enough to mend by, little enough to send. */
export const MAX_ISSUES = 100;

export class Findings {
  readonly issues: Issue[] = [];
  readonly path: (string | number)[];
  readonly advice: boolean;

  constructor(path: readonly (string | number)[], advice: boolean) {
    this.path = [...path];
    this.advice = advice;
  }

  /** FHIRPath of the current element, or of an element below it. */
  expression(below?: string): string {
    let text = '';
    for (const step of this.path) text += typeof step === 'number' ? `[${step}]` : text === '' ? step : `.${step}`;
    return below === undefined ? text : `${text}.${below}`;
  }

  get full(): boolean {
    return this.issues.length >= MAX_ISSUES;
  }

  add(issue: Issue): void {
    if (!this.full) this.issues.push(issue);
  }

  error(code: IssueCode, diagnostics: string, below?: string): void {
    if (!this.full) this.issues.push({ severity: 'error', code, diagnostics, expression: [this.expression(below)] });
  }

  /** Only when advice is asked for. */
  warn(code: IssueCode, diagnostics: string, below?: string): void {
    if (this.advice && !this.full)
      this.issues.push({ severity: 'warning', code, diagnostics, expression: [this.expression(below)] });
  }
}
