/**
 * Mixed requests against a log of one's own: whatever was answered has its rows in the record of accesses, about the patients that the answer showed, and
 * the record holds nothing of requests that nobody sent. @see https://profiles.ihe.net/ITI/BALP/
 */
import type { Random } from '../demo/random.ts';
import type { Row } from '../platform/database/named-query.ts';
import type { Person, People } from './storm/people.ts';
import type { Got, Sent } from './storm/wire.ts';

/** A request as it was sent, and what is known of its answer. */
interface Logged {
  readonly id: string;
  readonly what: string;
  /** undefined: it was not answered. */
  readonly status: number | undefined;
  /** Patients whom the answer shows, where it shows any resources. */
  readonly shown: ReadonlySet<string>;
  /** Rows that it must have at least. */
  readonly rows: number;
}

export interface ReconcileOptions {
  readonly people: People;
  /** undefined: no answer came. */
  send(sent: Sent, token: string): Promise<Got | undefined>;
  readonly requests: number;
  readonly clients: number;
  readonly random: Random;
  /** Called after so many requests. */
  readonly onSent?: (count: number) => void;
}

export interface Reconciled {
  readonly answered: number;
  readonly denied: number;
  readonly unanswered: number;
  readonly rows: number;
  readonly wrong: readonly string[];
}

export const PREFIX = 'reconcile-';

const patient = (n: number): object => ({ resourceType: 'Patient', name: [{ family: `Reconcile${n}` }] });
const bundle = (type: string, ...entry: readonly object[]): object => ({ resourceType: 'Bundle', type, entry });
const part = (method: string, url: string, resource?: object): object => ({
  request: { method, url },
  ...(resource ? { resource } : {}),
});

interface Wish {
  readonly what: string;
  readonly sent: Sent;
  readonly token: string;
  readonly rows?: number;
}

/** Patients that a reply names as subjects of what it shows. */
function patientsShown(text: string): ReadonlySet<string> {
  const found = new Set<string>();
  const look = (resource: unknown): void => {
    const { resourceType, id, entry, participant } = (resource ?? {}) as Readonly<Record<string, unknown>>;
    if (resourceType === 'Patient') found.add(`Patient/${String(id)}`);
    if (resourceType === 'Bundle' && Array.isArray(entry))
      for (const each of entry) look((each as { resource?: unknown }).resource);
    if (resourceType === 'Appointment' && Array.isArray(participant))
      for (const { actor } of participant as readonly { actor?: { reference?: string } }[])
        if (actor?.reference?.startsWith('Patient/') === true) found.add(actor.reference);
  };
  try {
    look(JSON.parse(text));
  } catch {
    // No JSON shows nobody.
  }
  return found;
}

/** One of many kinds of requests, refused ones among them. @param own ids of patients that this client has made */
function wishOf(random: Random, system: string, person: Person, other: Person, own: string[], n: number): Wish {
  const id = own.length === 0 ? 'none' : (own[random.int(0, own.length - 1)] ?? 'none');
  const as = (what: string, token: string, method: string, path: string, body?: object, rows?: number): Wish => ({
    what: `${what}: ${method} ${path}`,
    sent: { method, path, ...(body === undefined ? {} : { body }) },
    token,
    ...(rows === undefined ? {} : { rows }),
  });
  const choices: readonly (() => Wish)[] = [
    () => as('create', system, 'POST', 'Patient', patient(n)),
    () => as('read', system, 'GET', `Patient/${id}`),
    () => as('search of several', system, 'GET', `Patient?_id=${own.slice(-5).join(',') || 'none'}`),
    () => as('search', system, 'GET', 'Patient?_count=10&_sort=-_lastUpdated'),
    () => as('vread', system, 'GET', `Patient/${id}/_history/1`),
    () => as('history', system, 'GET', `Patient/${id}/_history`),
    () => as('update', system, 'PUT', `Patient/${id}`, { ...patient(n), id }),
    () => as('patch', system, 'PATCH', `Patient/${id}`, [{ op: 'add', path: '/active', value: n % 2 === 0 }]),
    () => as('delete', system, 'DELETE', `Patient/${own.shift() ?? 'none'}`),
    () => as('missing', system, 'GET', 'Patient/nobody-at-all'),
    () => as('bad', system, 'POST', 'Patient', { resourceType: 'Patient', gender: 'wrong' }),
    () => as('own', person.token, 'GET', person.patient),
    () => as('foreign', person.token, 'GET', other.patient),
    () => as('not theirs', person.token, 'DELETE', person.patient),
    () => as('no token', 'x'.repeat(20), 'GET', other.patient),
    () => as('nowhere', system, 'GET', 'Nothing/1'),
    () => as('directory', person.token, 'GET', 'Organization?_count=5'),
    () => as('own appointments', person.token, 'GET', 'Appointment?_count=5'),
    () => as('record', system, 'GET', 'AuditEvent?_count=2'),
    () =>
      as(
        'batch',
        system,
        'POST',
        '',
        bundle(
          'batch',
          part('GET', `Patient/${id}`),
          part('GET', 'Patient/nobody'),
          part('POST', 'Patient', patient(n)),
        ),
        4,
      ),
    () =>
      as(
        'transaction',
        system,
        'POST',
        '',
        bundle('transaction', part('POST', 'Patient', patient(n)), part('GET', 'Patient?_count=1')),
        2,
      ),
    () => as('$validate', system, 'POST', 'Patient/$validate', patient(n)),
  ];
  return (choices[random.int(0, choices.length - 1)] ?? choices[0] ?? (() => as('read', system, 'GET', 'Patient/x')))();
}

/** Sends them all, and keeps the log. */
export async function sendMixed(options: ReconcileOptions): Promise<readonly Logged[]> {
  const { people, requests, clients, random, send, onSent } = options;
  const log: Logged[] = [];
  let [begun, ended] = [0, 0];
  const client = async (n: number): Promise<void> => {
    const persons = people.all.filter((p) => p.channel === 'patient');
    const [person, other] = [persons[n % persons.length], persons[(n + 1) % persons.length]];
    if (!person || !other) throw new Error('There must be two patients at least');
    const own: string[] = [];
    while (begun < requests) {
      const number = begun++;
      const id = `${PREFIX}${number}`;
      const { what, sent, token, rows = 1 } = wishOf(random, people.system, person, other, own, number);
      const got = await send({ ...sent, headers: { ...sent.headers, 'X-Request-Id': id } }, token);
      const shows = got !== undefined && got.status < 300 && !what.startsWith('$validate');
      if (got?.status === 201) own.push(String((JSON.parse(got.text) as { id?: string }).id));
      const isBatch = sent.path === '';
      log.push({
        id,
        what,
        status: got?.status,
        shown: shows && !what.startsWith('record') ? patientsShown(got.text) : new Set(),
        rows: got !== undefined && got.status < 300 && isBatch ? rows : 1,
      });
      onSent?.(++ended);
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, n) => client(n)));
  return log;
}

/** Of rows: request, kind, outcome, the patient whom it is about. */
export const RECORDED = `select request, kind, outcome, case when about then patients[1] end from audit_log where starts_with(request, '${PREFIX}')`;

/** @param rows as `RECORDED` gives them */
export function reconcile(log: readonly Logged[], rows: readonly Row[]): Reconciled {
  const byRequest = Map.groupBy(rows, (row) => row[0] ?? '');
  const wrong: string[] = [];
  let [answered, denied] = [0, 0];
  for (const { id, what, status, shown, rows: least } of log) {
    // Whoever was too many was told so before anything was looked at.
    if (status === undefined || status === 503) continue;
    answered++;
    const found = byRequest.get(id) ?? [];
    const isDenied = status === 401 || status === 403;
    if (isDenied) denied++;
    if (found.length < least) wrong.push(`${id} ${what}: ${status}, and ${found.length} rows instead of ${least}`);
    if (isDenied && !found.some((r) => r[1] === 'denied'))
      wrong.push(`${id} ${what}: ${status}, not recorded as denied`);
    if (status >= 400 && !found.some((r) => r[2] !== '0')) wrong.push(`${id} ${what}: ${status}, recorded as done`);
    if (status < 400 && !found.some((r) => r[2] === '0')) wrong.push(`${id} ${what}: ${status}, recorded as refused`);
    for (const patientId of shown)
      if (!found.some((r) => r[3] === patientId)) wrong.push(`${id} ${what}: nothing says that it showed ${patientId}`);
  }
  const sent = new Set(log.map((l) => l.id));
  for (const id of byRequest.keys()) if (!sent.has(id)) wrong.push(`${id}: recorded, and never sent`);
  const unanswered = log.filter((l) => l.status === undefined).length;
  return { answered, denied, unanswered, rows: rows.length, wrong };
}
