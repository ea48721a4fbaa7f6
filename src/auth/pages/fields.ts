/** Parts that forms are made of. @see https://www.w3.org/WAI/tutorials/forms/ */
import { html, raw } from 'hono/html';
import { csrfField, type Html, type Part } from './layout.ts';
import type { Visit } from './visit.ts';

export interface FieldOptions {
  readonly name: string;
  readonly label: string;
  readonly type?: 'text' | 'email' | 'password' | 'search' | 'url';
  readonly value?: string;
  readonly hint?: string | undefined;
  /** @see https://html.spec.whatwg.org/#autofill-field */
  readonly autocomplete?: string;
  readonly inputmode?: 'numeric' | 'email' | 'url';
  readonly required?: boolean;
  readonly maxlength?: number;
  /** It is what the message above the form is about. */
  readonly wrong?: boolean;
  readonly focus?: boolean;
  readonly code?: boolean;
  readonly rows?: number;
  readonly optional?: string;
}

/** Attributes whose values are numbers, words of ours or escaped texts. */
const attributes = (pairs: Readonly<Record<string, string | number | boolean | undefined>>): readonly Html[] =>
  Object.entries(pairs)
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([name, value]) => (value === true ? html` ${raw(name)}` : html` ${raw(name)}="${String(value)}"`));

export function field(options: FieldOptions): Html {
  const { name, label, hint, wrong = false } = options;
  const described = [hint === undefined ? '' : `${name}-hint`, wrong ? 'problem' : '']
    .filter((id) => id !== '')
    .join(' ');
  const shared = attributes({
    id: name,
    name,
    autocomplete: options.autocomplete ?? 'off',
    required: options.required ?? true,
    maxlength: options.maxlength ?? 320,
    'aria-describedby': described === '' ? undefined : described,
    'aria-invalid': wrong ? 'true' : undefined,
    autofocus: options.focus ?? false,
    autocapitalize: options.type === 'text' || options.type === undefined ? undefined : 'none',
    spellcheck: options.code ? 'false' : undefined,
    inputmode: options.inputmode,
    class: options.code ? 'codes' : undefined,
  });
  const value = options.value ?? '';
  return html`<div class="field">
    <label for="${name}"
      >${label}${options.optional === undefined ? undefined : html` <span class="quiet small">(${options.optional})</span>`}</label
    >
    ${hint === undefined ? undefined : html`<span class="hint" id="${name}-hint">${hint}</span>`}
    ${
      options.rows === undefined
        ? html`<input type="${options.type ?? 'text'}" ${shared} ${value === '' ? undefined : attributes({ value })} />`
        : html`<textarea rows="${String(options.rows)}" ${shared}>${value}</textarea>`
    }
  </div>`;
}

/** A password field, with a box that shows what is typed where scripts run. */
export const passwordField = (
  { t }: Visit,
  options: { name?: string; label?: string; isNew?: boolean; wrong?: boolean; focus?: boolean } = {},
): Html => {
  const { name = 'password', isNew = false } = options;
  return html`${field({
      name,
      label: options.label ?? (isNew ? t.fields.newPassword : t.fields.password),
      type: 'password',
      autocomplete: isNew ? 'new-password' : 'current-password',
      maxlength: 256,
      ...(isNew ? { hint: t.fields.passwordHint } : {}),
      ...(options.wrong === undefined ? {} : { wrong: options.wrong }),
      ...(options.focus === undefined ? {} : { focus: options.focus }),
    })}
    <label class="tick small" hidden
      ><input type="checkbox" data-shows="${name}" /><span>${t.fields.showPassword}</span></label
    >`;
};

export interface ChoiceOptions {
  readonly name: string;
  readonly value: string;
  readonly label: Part;
  readonly hint?: string | undefined;
  readonly checked?: boolean;
  readonly type?: 'checkbox' | 'radio';
}

export const choice = ({ name, value, label, hint, checked = false, type = 'checkbox' }: ChoiceOptions): Html =>
  html`<label class="tick"
    ><input type="${type}" name="${name}" value="${value}" ${checked ? raw('checked') : ''} /><span
      >${label}${hint === undefined ? undefined : html`<span class="hint">${hint}</span>`}</span
    ></label
  >`;

/** A form that posts; `return` rides along where there is one. */
export const postForm = (
  visit: Visit,
  action: string,
  body: Part,
  hidden: Readonly<Record<string, string>> = {},
): Html =>
  html`<form method="post" action="${action}">
    ${csrfField(visit)}
    ${Object.entries(hidden).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)}${body}
  </form>`;

/** One button as a form. */
export const postButton = (
  visit: Visit,
  action: string,
  label: string,
  hidden: Readonly<Record<string, string>> = {},
  kind = 'compact',
  /** What it acts on, for those who hear the button alone. */
  about?: string,
): Html =>
  postForm(
    visit,
    action,
    html`<button class="${kind}" ${about === undefined ? '' : html`aria-label="${`${label}: ${about}`}"`}>
      ${label}
    </button>`,
    hidden,
  );

/** A form that a script of ours carries out; hidden until it runs. */
export function passkeyForm(
  visit: Visit,
  kind: 'create' | 'get',
  action: string,
  body: Part,
  hidden: Readonly<Record<string, string>> = {},
): Html {
  const { t } = visit;
  return html`<form
      method="post"
      action="${action}"
      data-passkey="${kind}"
      data-failed="${t.passkeys.failed}"
      data-unsupported="${t.passkeys.unsupported}"
      hidden
    >
      ${csrfField(visit)}
      ${Object.entries(hidden).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)}
      <p class="note bad" role="alert" hidden></p>
      ${body}
    </form>
    <noscript><p class="hint">${t.common.needsScript}</p></noscript>`;
}

/** A day, as the reader's language writes it. */
export const dayText = ({ language }: Visit, at: number | string): string =>
  new Intl.DateTimeFormat(language, { dateStyle: 'long', timeZone: 'UTC' }).format(new Date(at));

/** Day and time. The server knows no zone of the reader, so it says which one it means. */
export const momentText = ({ language }: Visit, at: number | string): string =>
  new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' }).format(new Date(at)) +
  ' UTC';

/** Letters in the place of a picture. */
export const initials = (name: string): string =>
  name
    .split(/\s+/)
    .filter((word) => /^\p{L}/u.test(word))
    .map((word) => [...word][0] ?? '')
    .filter((_, i, all) => i === 0 || i === all.length - 1)
    .join('')
    .toUpperCase();

/** FHIR dates may end with the year or the month. */
export function birthText(visit: Visit, date: string): string {
  if (date.length === 10) return dayText(visit, date);
  if (date.length !== 7) return date;
  return new Intl.DateTimeFormat(visit.language, { year: 'numeric', month: 'long', timeZone: 'UTC' }).format(
    new Date(date),
  );
}
