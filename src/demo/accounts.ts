/**
 * People who can sign in to the demo clinic. Their passwords are made of the installation's key: the same at every start, different on every machine.
 */
import type { AuthParts } from '../auth/parts.ts';
import { createHmac } from 'node:crypto';
import type { Role, StaffKind } from '../auth/accounts/account.ts';
import { accountByEmail } from '../auth/accounts/account.ts';
import { createAccount } from '../auth/accounts/create.ts';
import { createPasswords } from '../auth/accounts/password.ts';
import { poolNamed } from '../platform/database/pool.ts';
import { inTransaction } from '../platform/database/transaction.ts';
import { makePatients } from './patients.ts';
import { makePlaces } from './places.ts';
import { makeStaff } from './staff.ts';

interface DemoPerson {
  readonly email: string;
  readonly name: string;
  readonly roles: readonly Role[];
  readonly staffKinds?: readonly StaffKind[];
  readonly profiles?: readonly string[];
  /** What the sign-in list calls them. */
  readonly title: string;
}

export interface DemoLogin {
  readonly title: string;
  readonly name: string;
  readonly email: string;
  readonly password: string;
}

const WORDS = (
  'amber anchor apple arrow aspen autumn badger bamboo barley basil beacon birch bramble bridge bronze button cactus candle canyon cedar cherry ' +
  'cinder clover cobalt copper coral cotton cricket crystal daisy dapple desert dolphin ember falcon feather fennel forest fossil garden garnet ' +
  'ginger glacier granite harbor hazel heather heron hollow honey indigo island ivory jasmine juniper kettle lagoon lantern lark laurel lemon ' +
  'lilac linen lotus magnet maple marble meadow mellow mint mirror mosaic mustard nectar nutmeg oasis ocean olive onyx orchard otter oyster ' +
  'paper pebble pepper petal pigeon pillow pine planet plum pocket poplar prairie pumpkin quartz quill rabbit raven ribbon river robin rocket ' +
  'rosemary saddle saffron sage salmon sandal sapling shadow silver sparrow spruce summer sunset teapot thistle thunder timber topaz tulip ' +
  'tunnel turtle umber valley vanilla velvet violet walnut willow winter yarrow zephyr'
).split(' ');

/** Three words and four digits. */
function passwordOf({ keys }: Pick<AuthParts, 'keys'>, email: string): string {
  const digest = createHmac('sha256', keys.derive('demo accounts')).update(email).digest();
  const word = (at: number): string => WORDS[digest.readUInt32BE(at) % WORDS.length] ?? '';
  return `${word(0)}-${word(4)}-${word(8)}-${String(digest.readUInt32BE(12) % 10_000).padStart(4, '0')}`;
}

/** Those of the clinic with this seed. */
function people(seed: number): readonly DemoPerson[] {
  const prefix = `demo${seed}`;
  const places = makePlaces(prefix);
  const physicians = makeStaff(prefix, seed, places).filter((p) => p.offer.key !== 'physiotherapy');
  const all = makePatients(prefix, seed, 60, places);
  const adults = all.filter((p) => !p.child).slice(0, 3);
  const child = all.find((p) => p.child && p.related);
  const at = (name: string): string => `${name}@kairos.example`;
  return [
    { title: 'Administrator', email: at('admin'), name: 'Alex Administrator', roles: ['admin'] },
    { title: 'Front desk', email: at('desk'), name: 'Dana Desk', roles: ['staff'], staffKinds: ['front-desk'] },
    { title: 'Billing', email: at('billing'), name: 'Billie Billing', roles: ['staff'], staffKinds: ['billing'] },
    ...[physicians[0], physicians.find((p) => p.practitioner.id !== physicians[0]?.practitioner.id)].flatMap(
      (post, i): DemoPerson[] =>
        post
          ? [
              {
                title: 'Physician',
                email: at(`doctor${i + 1}`),
                name: post.practitionerName,
                roles: ['physician'],
                profiles: [`Practitioner/${post.practitioner.id ?? ''}`],
              },
            ]
          : [],
    ),
    ...adults.map((person, i): DemoPerson => ({
      title: 'Patient',
      email: at(`patient${i + 1}`),
      name: person.name,
      roles: ['patient'],
      profiles: [`Patient/${person.patient.id ?? ''}`],
    })),
    ...(child?.related
      ? [
          {
            title: `Parent of ${child.name}`,
            email: at('parent'),
            name: [child.related.name?.[0]?.given?.[0], child.related.name?.[0]?.family].join(' '),
            roles: ['patient'] as const,
            profiles: [`RelatedPerson/${child.related.id ?? ''}`],
          },
        ]
      : []),
  ];
}

/** Low, since the passwords come from a key and the first start must be quick; the first sign-in hashes anew. */
const COST = 6;

/**
 * Makes the accounts that are missing. Those of people who work here ask for no second factor as long as the server is a demo on this machine.
 * @returns how many
 */
export async function seedAccounts(parts: AuthParts, seed: number): Promise<number> {
  const passwords = createPasswords({ keys: parts.keys, hasher: 'bcrypt', cost: COST });
  let created = 0;
  for (const { email, name, roles, staffKinds, profiles } of people(seed)) {
    const passwordHash = await passwords.hash(passwordOf(parts, email));
    const account = {
      email,
      name,
      roles,
      by: 'demo',
      locale: 'en',
      passwordHash,
      mfaExempt: true,
      ...(staffKinds ? { staffKinds } : {}),
      ...(profiles ? { profiles } : {}),
    };
    if ((await inTransaction(parts.pool, (run) => createAccount(run, parts, account))) !== undefined) created++;
  }
  return created;
}

/** The demo accounts whose passwords are still those that were made for them. */
export async function demoLogins(parts: AuthParts, seed: number): Promise<readonly DemoLogin[]> {
  const logins: DemoLogin[] = [];
  for (const { title, name, email } of people(seed)) {
    const account = await accountByEmail(parts, email);
    if (account?.status !== 'active') continue;
    const { rows } = await poolNamed(
      parts.pool,
      `select 1 from auth_account where id = $1 and mfa_exempt and password_changed_at is null`,
      [account.id],
    );
    if (rows.length > 0) logins.push({ title, name, email, password: passwordOf(parts, email) });
  }
  return logins;
}
