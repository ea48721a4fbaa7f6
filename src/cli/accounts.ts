/** `npm run accounts -- <what> …`: accounts from the command line, on the database that the configuration names. See docs/accounts.md. */
import {
  accountByEmail,
  accountById,
  isRole,
  isStaffKind,
  listAccounts,
  ROLES,
  STAFF_KINDS,
  type Account,
} from '../auth/accounts/account.ts';
import {
  disableAccount,
  enableAccount,
  resetByOperator,
  resetFactors,
  setRoles,
  unlockAccount,
} from '../auth/accounts/administer.ts';
import { listHandedOut, withdrawAll } from '../auth/accounts/handed-out.ts';
import { invite } from '../auth/accounts/invite.ts';
import { createPatientCode } from '../auth/accounts/patient-code.ts';
import { linkProfile, unlinkProfile } from '../auth/accounts/profile.ts';
import { factorsOf } from '../auth/mfa/factors.ts';
import type { AuthParts } from '../auth/parts.ts';
import { Refusal, type RefusalCode } from '../auth/refusal.ts';
import { openKairos } from '../compose.ts';
import { readArguments, runCommand } from '../platform/command.ts';
import { loadProcessConfig } from '../platform/config.ts';
import { StartError } from '../platform/start-error.ts';

const USAGE = `npm run accounts -- <command>
  list                                       all accounts
  add-admin <e-mail>                         invites an administrator; prints the link
  invite <e-mail> --role <role> …            invites; roles: ${ROLES.join(', ')}
         [--kind <kind>] …                   of staff: ${STAFF_KINDS.join(', ')}
         [--practitioner Practitioner/1]     who a physician is
  roles <e-mail> --role <role> … [--kind …]  replaces the roles
  link <e-mail> <Type/id>                    lets the account speak for a Patient, RelatedPerson or Practitioner
  unlink <e-mail> <Type/id>                  takes that back
  patient-code <Type/id>                     makes an invitation code for a Patient or RelatedPerson
  invitations                                invitations and patient codes that nobody has used yet
  withdraw <e-mail or Type/id>               takes back what was sent to the address, or made for the record
  unlock <e-mail>                            forgets wrong passwords and codes of today
  reset <e-mail>                             prints a link to a new password, good for 30 minutes
  reset-mfa <e-mail>                         removes all second factors
  disable <e-mail>, enable <e-mail>          nobody can sign in; they can again
Options: --locale <language> for letters (en, es).`;

const REASONS: Partial<Record<RefusalCode, string>> = {
  email: 'This is no e-mail address.',
  roles: 'These roles and kinds do not go together: kinds are for staff, and there must be a role.',
  profile: 'The resource does not exist here, or it is not of the right type.',
  practitioner:
    'A physician needs a Practitioner: name it with --practitioner Practitioner/<id> in an invitation, and link it before roles are changed.',
  last: 'This is the last administrator: make another one first.',
};

interface Input {
  readonly parts: AuthParts;
  readonly rest: readonly string[];
  readonly options: {
    readonly role?: string[] | undefined;
    readonly kind?: string[] | undefined;
    readonly practitioner?: string | undefined;
    readonly locale?: string | undefined;
  };
}

const wrongUse = (): StartError => new StartError(USAGE);

function argument({ rest }: Input, position: number): string {
  const value = rest[position];
  if (value === undefined) throw wrongUse();
  return value;
}

async function account(input: Input): Promise<Account> {
  const found = await accountByEmail(input.parts, argument(input, 0));
  if (!found) throw new StartError('There is no account with this address.');
  return found;
}

function rights({ options }: Input) {
  const roles = options.role ?? [];
  const kinds = options.kind ?? [];
  if (!roles.every(isRole)) throw new StartError(`Roles are ${ROLES.join(', ')}.`);
  if (!kinds.every(isStaffKind)) throw new StartError(`Kinds of staff are ${STAFF_KINDS.join(', ')}.`);
  return { roles, staffKinds: kinds };
}

async function list({ parts }: Input): Promise<string> {
  const lines: string[] = [];
  for (let after = '', page; (page = await listAccounts(parts, after)).length > 0; after = page.at(-1)?.id ?? '') {
    for (const a of page) {
      const { totp, passkeys } = await factorsOf(parts, a.id);
      const factors = [
        ...(totp ? ['app'] : []),
        ...(passkeys > 0 ? [`${passkeys} passkey${passkeys > 1 ? 's' : ''}`] : []),
      ];
      lines.push(
        [
          a.email,
          a.status,
          [...a.roles, ...a.staffKinds].join(','),
          a.profiles.join(','),
          factors.join(', ') || 'no second factor',
        ].join('  '),
      );
    }
  }
  return lines.length === 0 ? 'There is no account yet: npm run accounts -- add-admin <e-mail>' : lines.join('\n');
}

async function invitations({ parts }: Input): Promise<string> {
  const lines: string[] = [];
  for (let before: string | undefined, page; (page = await listHandedOut(parts, before)).length > 0;) {
    before = page.at(-1)?.id;
    for (const one of page) {
      const until = `until ${new Date(one.expiresAt).toISOString().slice(0, 10)}`;
      const by = one.by === 'operator' ? one.by : ((await accountById(parts, one.by))?.email ?? one.by);
      lines.push(
        (one.kind === 'invitation'
          ? ['invitation', one.email, [...one.roles, ...one.staffKinds].join(','), until, `by ${by}`]
          : ['patient code', one.reference, until, `by ${by}`]
        ).join('  '),
      );
    }
  }
  return lines.length === 0 ? 'No invitation and no patient code is open.' : lines.join('\n');
}

const linkFor = (link: string, days: string): string =>
  `${link}\nThe link works once, within ${days}. It was mailed too (without SMTP_URL to /dev/mail), and leads to the address that PUBLIC_URL or PORT names.`;

/** Each returns what is printed. */
const COMMANDS: Readonly<Record<string, (input: Input) => Promise<string>>> = {
  list,
  async 'add-admin'(input) {
    const { locale = 'en' } = input.options;
    const invitation = { email: argument(input, 0), roles: ['admin' as const], staffKinds: [], locale };
    return linkFor(await invite(input.parts, 'operator', invitation), '7 days');
  },
  async invite(input) {
    const { practitioner, locale = 'en' } = input.options;
    const invitation = { email: argument(input, 0), ...rights(input), practitioner, locale };
    return linkFor(await invite(input.parts, 'operator', invitation), '7 days');
  },
  async roles(input) {
    await setRoles(input.parts, 'operator', (await account(input)).id, rights(input));
    return 'The roles are changed; the sessions of the account have ended.';
  },
  async link(input) {
    await linkProfile(input.parts, 'operator', (await account(input)).id, argument(input, 1));
    return 'Linked.';
  },
  async unlink(input) {
    await unlinkProfile(input.parts, 'operator', (await account(input)).id, argument(input, 1));
    return 'No longer linked.';
  },
  async 'patient-code'(input) {
    const { code, expiresAt } = await createPatientCode(input.parts, 'operator', argument(input, 0));
    return `${code}\nIt works once, until ${new Date(expiresAt).toISOString().slice(0, 10)}.`;
  },
  invitations,
  async withdraw(input) {
    const count = await withdrawAll(input.parts, 'operator', argument(input, 0));
    if (count === 0) throw new StartError('Nothing is open for this address or record.');
    return `Withdrawn: ${count}.`;
  },
  async unlock(input) {
    await unlockAccount(input.parts, 'operator', (await account(input)).id);
    return 'Unlocked: wrong passwords and codes are forgotten.';
  },
  async reset(input) {
    const link = await resetByOperator(input.parts, (await account(input)).id);
    return `${link}\nThe link works once, within 30 minutes. It was not mailed.`;
  },
  async 'reset-mfa'(input) {
    await resetFactors(input.parts, 'operator', (await account(input)).id);
    return 'The second factors are removed; sessions and connected apps have ended.';
  },
  async disable(input) {
    await disableAccount(input.parts, 'operator', (await account(input)).id);
    return 'Disabled; sessions and connected apps have ended.';
  },
  async enable(input) {
    await enableAccount(input.parts, 'operator', (await account(input)).id);
    return 'Enabled.';
  },
};

const OPTIONS = {
  role: { type: 'string', multiple: true },
  kind: { type: 'string', multiple: true },
  practitioner: { type: 'string' },
  locale: { type: 'string' },
} as const;

await runCommand(async () => {
  const { positionals, values } = readArguments(USAGE, OPTIONS, true);
  const [name = '', ...rest] = positionals;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) throw wrongUse();
  const kairos = await openKairos(loadProcessConfig(), { say: (text) => process.stderr.write(`${text}\n`) });
  try {
    console.log(await command({ parts: kairos.identity, rest, options: values }));
  } catch (error) {
    if (error instanceof Refusal) throw new StartError(REASONS[error.code] ?? error.message);
    throw error;
  } finally {
    await kairos.close();
  }
});
