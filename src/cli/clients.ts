/** `npm run clients -- list | add | disable | enable | rotate`: the apps and systems that may ask for tokens. See docs/smart.md. */
import { readFile } from 'node:fs/promises';
import { AUTH_METHODS, ClientError, demandJwks, type PublicJwks } from '../auth/clients/client.ts';
import {
  disableClient,
  enableClient,
  listClients,
  registerClient,
  rotateSecret,
  type NewClient,
} from '../auth/clients/registry.ts';
import type { AuthParts } from '../auth/parts.ts';
import { openKairos } from '../compose.ts';
import { readArguments, runCommand } from '../platform/command.ts';
import { loadProcessConfig } from '../platform/config.ts';
import { StartError } from '../platform/start-error.ts';

const USAGE = `Usage:
  npm run clients -- list
  npm run clients -- add --name <name> --scope "<scopes>" [--kind app|backend|bulk] [--auth ${AUTH_METHODS.join('|')}]
      [--id <client_id>] [--redirect <uri> …] [--logout-redirect <uri> …] [--launch <url>] [--jwks <file>] [--jwks-uri <url>]
      [--logo <url>] [--policy <url>] [--terms <url>]
  npm run clients -- disable <client_id>
  npm run clients -- enable <client_id>
  npm run clients -- rotate <client_id>`;

const OPTIONS = {
  name: { type: 'string' },
  scope: { type: 'string' },
  kind: { type: 'string', default: 'app' },
  auth: { type: 'string' },
  id: { type: 'string' },
  redirect: { type: 'string', multiple: true },
  'logout-redirect': { type: 'string', multiple: true },
  launch: { type: 'string' },
  jwks: { type: 'string' },
  'jwks-uri': { type: 'string' },
  logo: { type: 'string' },
  policy: { type: 'string' },
  terms: { type: 'string' },
} as const;

const parse = () => readArguments(USAGE, OPTIONS, true);

type Values = ReturnType<typeof parse>['values'];

async function readJwks(file: string | undefined): Promise<PublicJwks | undefined> {
  if (file === undefined) return undefined;
  try {
    const jwks: unknown = JSON.parse(await readFile(file, 'utf8'));
    demandJwks(jwks);
    return jwks;
  } catch (error) {
    if (error instanceof ClientError) throw error;
    throw new StartError('--jwks must be a file that holds a JSON Web Key Set.');
  }
}

function kindOf({ kind }: Values): NewClient['kind'] {
  if (kind === 'app' || kind === 'backend' || kind === 'bulk') return kind;
  throw new StartError('--kind must be app, backend or bulk.');
}

function authOf({ auth, jwks, 'jwks-uri': uri }: Values, kind: NewClient['kind']): NewClient['auth'] {
  const wanted = auth ?? ((jwks ?? uri) ? 'private_key_jwt' : kind === 'app' ? 'none' : 'client_secret_basic');
  const method = AUTH_METHODS.find((m) => m === wanted);
  if (!method) throw new StartError(`--auth must be one of ${AUTH_METHODS.join(', ')}.`);
  return method;
}

async function add(parts: AuthParts, values: Values): Promise<void> {
  const kind = kindOf(values);
  const jwks = await readJwks(values.jwks);
  const { clientId, secret } = await registerClient(
    parts,
    {
      kind,
      name: values.name ?? '',
      auth: authOf(values, kind),
      redirectUris: values.redirect ?? [],
      postLogoutRedirectUris: values['logout-redirect'] ?? [],
      scope: values.scope ?? '',
      ...(values.id === undefined ? {} : { clientId: values.id }),
      ...(values.launch === undefined ? {} : { launchUrl: values.launch }),
      ...(jwks === undefined ? {} : { jwks }),
      ...(values['jwks-uri'] === undefined ? {} : { jwksUri: values['jwks-uri'] }),
      ...(values.logo === undefined ? {} : { logoUri: values.logo }),
      ...(values.policy === undefined ? {} : { policyUri: values.policy }),
      ...(values.terms === undefined ? {} : { tosUri: values.terms }),
    },
    'cli',
  );
  console.log(`client_id      ${clientId}`);
  if (secret !== undefined) console.log(`client_secret  ${secret}\nThe secret is shown only now.`);
}

async function list(parts: AuthParts): Promise<void> {
  const clients = await listClients(parts);
  if (clients.length === 0) console.log('No client is registered.');
  for (const { clientId, name, kind, auth, scope, disabled } of clients)
    console.log([clientId, disabled ? 'disabled' : 'enabled', kind, auth, name, scope].join('\t'));
}

async function change(parts: AuthParts, command: string, clientId: string): Promise<void> {
  if (command === 'rotate') {
    console.log(
      `client_secret  ${await rotateSecret(parts, clientId)}\nThe secret is shown only now; the old one is refused.`,
    );
    return;
  }
  const done = await (command === 'disable' ? disableClient : enableClient)(parts, clientId);
  if (!done) throw new StartError(`There is no client ${clientId} to ${command}.`);
  console.log(command === 'disable' ? `${clientId} is disabled; its tokens have ended.` : `${clientId} is enabled.`);
}

await runCommand(async () => {
  const { values, positionals } = parse();
  const [command = '', clientId] = positionals;
  const changes = ['disable', 'enable', 'rotate'].includes(command);
  if (!['list', 'add'].includes(command) && !(changes && clientId !== undefined)) throw new StartError(USAGE);
  const kairos = await openKairos(loadProcessConfig());
  try {
    if (command === 'list') await list(kairos.identity);
    else if (command === 'add') await add(kairos.identity, values);
    else await change(kairos.identity, command, clientId ?? '');
  } catch (error) {
    throw error instanceof ClientError ? new StartError(error.message) : error;
  } finally {
    await kairos.close();
  }
});
