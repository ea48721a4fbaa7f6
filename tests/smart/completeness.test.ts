/**
 * Discovery is a promise: each property of both documents is kept here one by one, and what is served beyond them is named there.
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html
 */
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Account } from '../../src/auth/accounts/account.ts';
import type { Session } from '../../src/auth/session/session.ts';
import {
  asApp,
  authorize,
  authorizeParameters,
  Browser,
  exchange,
  makeAccount,
  makeApp,
  pkce,
  post,
  refresh,
  signIn,
  type Flow,
  type TestApp,
  type TokenReply,
} from '../support/app-driver.ts';
import { visit } from './person.ts';
import {
  FORM,
  raw,
  readPatient,
  REGISTRATION_TOKEN,
  startInstallation,
  systemToken,
  type Installation,
} from './support.ts';

interface Document {
  readonly [property: string]: unknown;
}

let inst: Installation;
let smart: Document;
let openid: Document;
let app: TestApp;
let staff: { readonly account: Account; readonly browser: Browser; readonly session: Session };

const texts = (document: Document, name: string): readonly string[] => {
  const value = document[name];
  if (!Array.isArray(value)) throw new Error(`${name} is no list`);
  return value.map(String);
};

beforeAll(async () => {
  inst = await startInstallation();
  const document = async (path: string): Promise<Document> =>
    (await (await fetch(`${inst.second.listens}${path}`)).json()) as Document;
  smart = await document('/fhir/R4/.well-known/smart-configuration');
  openid = await document('/oauth/.well-known/openid-configuration');
  app = await makeApp(inst.first, {
    launchUrl: 'https://app.example.org/launch',
    postLogoutRedirectUris: ['https://app.example.org/bye'],
  });
  const account = await makeAccount(inst.first, ['staff'], []);
  const browser = new Browser();
  staff = { account, browser, session: await signIn(inst.first, browser, account) };
});
afterAll(() => inst.close());

async function storeEncounter(): Promise<void> {
  const response = await fetch(`${inst.first.fhirBase}/Encounter/e1`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${await systemToken(inst.first)}`, 'content-type': 'application/fhir+json' },
    body: JSON.stringify({
      resourceType: 'Encounter',
      id: 'e1',
      status: 'in-progress',
      class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
      subject: { reference: 'Patient/1' },
    }),
  });
  if (!response.ok) throw new Error(await response.text());
}

/** The handle of an EHR launch, as staff get it from `$launch`. */
async function launchHandle(parameters: readonly Readonly<Record<string, unknown>>[]): Promise<URL> {
  const ehr = await makeApp(inst.first, { scope: 'openid online_access user/*.cruds' });
  const flow = await authorize(inst.first, staff.browser, ehr, staff.session, { scope: 'openid user/*.cruds' });
  const { body } = await exchange(inst.second, ehr, flow);
  const response = await fetch(`${inst.second.listens}/fhir/R4/$launch`, {
    method: 'POST',
    headers: { authorization: `Bearer ${String(body['access_token'])}`, 'content-type': 'application/fhir+json' },
    body: JSON.stringify({
      resourceType: 'Parameters',
      parameter: [{ name: 'client', valueString: app.clientId }, ...parameters],
    }),
  });
  const { parameter = [], issue } = (await response.json()) as {
    readonly parameter?: readonly { readonly name: string; readonly valueUrl?: string }[];
    readonly issue?: unknown;
  };
  const url = parameter.find(({ name }) => name === 'url')?.valueUrl;
  if (url === undefined) throw new Error(JSON.stringify(issue));
  return new URL(url);
}

const asStaff = async (parameters: Readonly<Record<string, string>>): Promise<TokenReply> => {
  const flow = await authorize(inst.first, staff.browser, app, staff.session, parameters);
  return exchange(inst.second, app, flow);
};

describe('documents', () => {
  test('their properties are these, and no others that nobody has looked at', () => {
    expect(Object.keys(smart).sort()).toEqual(
      [
        'authorization_endpoint',
        'capabilities',
        'code_challenge_methods_supported',
        'end_session_endpoint',
        'grant_types_supported',
        'introspection_endpoint',
        'issuer',
        'jwks_uri',
        'management_endpoint',
        'registration_endpoint',
        'response_types_supported',
        'revocation_endpoint',
        'scopes_supported',
        'token_endpoint',
        'token_endpoint_auth_methods_supported',
        'token_endpoint_auth_signing_alg_values_supported',
        'userinfo_endpoint',
      ].sort(),
    );
    expect(Object.keys(openid).sort()).toEqual(
      [
        'authorization_endpoint',
        'authorization_response_iss_parameter_supported',
        'claim_types_supported',
        'claims_parameter_supported',
        'claims_supported',
        'code_challenge_methods_supported',
        'end_session_endpoint',
        'grant_types_supported',
        'id_token_signing_alg_values_supported',
        'introspection_endpoint',
        'issuer',
        'jwks_uri',
        'registration_endpoint',
        'request_uri_parameter_supported',
        'response_modes_supported',
        'response_types_supported',
        'revocation_endpoint',
        'scopes_supported',
        'service_documentation',
        'subject_types_supported',
        'token_endpoint',
        'token_endpoint_auth_methods_supported',
        'token_endpoint_auth_signing_alg_values_supported',
        'userinfo_endpoint',
      ].sort(),
    );
  });
  test('where both say something, they agree', () => {
    for (const name of Object.keys(smart).filter(
      (n) => n in openid && n !== 'scopes_supported' && n !== 'token_endpoint_auth_methods_supported',
    ))
      expect([name, smart[name]]).toEqual([name, openid[name]]);
    expect(
      texts(openid, 'token_endpoint_auth_methods_supported')
        .filter((m) => m !== 'none')
        .sort(),
    ).toEqual([...texts(smart, 'token_endpoint_auth_methods_supported')].sort());
    for (const scope of texts(openid, 'scopes_supported')) expect(texts(smart, 'scopes_supported')).toContain(scope);
  });
  test('every endpoint is an absolute address that is served', async () => {
    const endpoints = Object.entries({ ...openid, ...smart }).filter(([name]) =>
      /_endpoint$|_uri$|_documentation$/.test(name),
    );
    expect(endpoints.length).toBe(10);
    for (const [name, url] of endpoints) {
      expect([name, String(url).startsWith(`${inst.first.origin}/`) || url === inst.first.origin]).toEqual([
        name,
        true,
      ]);
      const target = String(url).slice(inst.first.origin.length) || '/';
      const statuses = await Promise.all(
        (['GET', 'POST'] as const).map(
          async (method) =>
            (await raw(inst.second, target, { method, headers: method === 'POST' ? { 'content-type': FORM } : {} }))
              .status,
        ),
      );
      expect([name, statuses.some((status) => status !== 404 && status < 500)]).toEqual([name, true]);
    }
  });
  test('with no initial access token there is no registration, and none is promised', async () => {
    const { startIdentityServer } = await import('../support/identity-server.ts');
    const closed = await startIdentityServer();
    try {
      for (const path of ['/fhir/R4/.well-known/smart-configuration', '/oauth/.well-known/openid-configuration'])
        expect((await (await fetch(`${closed.origin}${path}`)).json()) as Document).not.toHaveProperty(
          'registration_endpoint',
        );
      const reply = await fetch(`${closed.issuer}/register`, {
        method: 'POST',
        headers: { authorization: `Bearer ${REGISTRATION_TOKEN}`, 'content-type': 'application/json' },
        body: '{}',
      });
      expect(reply.status).toBe(404);
    } finally {
      await closed.close();
    }
  });
});

describe('scopes_supported: each can be granted', () => {
  let offered: readonly string[];
  beforeAll(() => {
    offered = texts(smart, 'scopes_supported');
  });
  test('to a patient, standalone: all that need no launch, and not one for a person at once', async () => {
    for (const scope of offered.filter((s) => !s.startsWith('system/') && s !== 'launch' && s !== 'launch/encounter')) {
      // Who the person is stands in the id_token.
      const asked = scope === 'fhirUser' || scope === 'profile' ? `openid ${scope}` : scope;
      const { body } = await exchange(inst.first, app, await inst.flow(app, { scope: asked }));
      expect([scope, body['scope']]).toEqual([scope, asked]);
    }
  });
  test('OpenID Connect Core 3.1.2.1: without openid nobody is told who the person is', async () => {
    const { body } = await exchange(
      inst.first,
      app,
      await inst.flow(app, { scope: 'fhirUser profile launch/patient patient/Patient.rs' }),
    );
    expect([body['scope'], body['id_token']]).toEqual(['launch/patient patient/Patient.rs', undefined]);
  });
  test('fhirUser is not granted to who is nobody here', async () => {
    const { body } = await asStaff({ scope: 'openid fhirUser user/Appointment.rs' });
    expect(body['scope']).toBe('openid user/Appointment.rs');
  });
  test('in an EHR launch: launch and launch/encounter', async () => {
    await storeEncounter();
    const patient = { name: 'patient', valueString: 'Patient/1' };
    for (const [parameters, granted] of [
      [[patient, { name: 'encounter', valueString: 'Encounter/e1' }], 'launch launch/encounter'],
      [[patient], 'launch'],
    ] as const) {
      const launch = (await launchHandle(parameters)).searchParams.get('launch') ?? '';
      expect((await asStaff({ launch, scope: 'launch launch/encounter' })).body['scope']).toBe(granted);
    }
  });
  test('to a system', async () => {
    const backend = await makeApp(inst.first, {
      kind: 'backend',
      auth: 'client_secret_basic',
      redirectUris: [],
      scope: 'system/*.cruds',
    });
    for (const scope of offered.filter((s) => s.startsWith('system/'))) {
      const { body } = await asApp(inst.second, backend, '/token', { grant_type: 'client_credentials', scope });
      expect([scope, body['scope']]).toEqual([scope, scope]);
    }
  });
  test('and what is granted beyond the list is a narrower form of what is on it', async () => {
    for (const scope of ['patient/Patient.r', 'user/Slot.s', 'patient/Slot.rs?status=free', 'patient/Appointment.cu']) {
      const { body } = await exchange(inst.first, app, await inst.flow(app, { scope }));
      expect(body['scope']).toBe(scope);
    }
  });
});

describe('grant types, methods, algorithms', () => {
  const keys: Record<string, { secret: CryptoKey; jwk: Readonly<Record<string, unknown>> }> = {};
  beforeAll(async () => {
    for (const alg of texts(smart, 'token_endpoint_auth_signing_alg_values_supported')) {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
      keys[alg] = { secret: privateKey, jwk: { ...(await exportJWK(publicKey)), kid: alg } };
    }
  });
  const assertion = (client: TestApp, alg: string): Promise<string> =>
    new SignJWT({ jti: crypto.randomUUID() })
      .setProtectedHeader({ alg, kid: alg })
      .setIssuer(client.clientId)
      .setSubject(client.clientId)
      .setAudience(String(smart['token_endpoint']))
      .setExpirationTime('4m')
      .sign(keys[alg]?.secret ?? new Uint8Array());

  test('grant_types_supported: each gives tokens, any other is unsupported', async () => {
    const backend = await makeApp(inst.first, {
      kind: 'backend',
      auth: 'client_secret_post',
      redirectUris: [],
      scope: 'system/*.rs',
    });
    const granted: Readonly<Record<string, () => Promise<TokenReply>>> = {
      authorization_code: async () => exchange(inst.first, app, await inst.flow(app)),
      refresh_token: async () =>
        refresh(inst.second, app, (await exchange(inst.first, app, await inst.flow(app))).body['refresh_token']),
      client_credentials: () =>
        post(inst.first, '/token', {
          grant_type: 'client_credentials',
          scope: 'system/*.rs',
          client_id: backend.clientId,
          client_secret: backend.secret ?? '',
        }),
    };
    expect([...texts(smart, 'grant_types_supported')].sort()).toEqual(Object.keys(granted).sort());
    for (const [name, grant] of Object.entries(granted)) expect([name, (await grant()).status]).toEqual([name, 200]);
    for (const name of ['password', 'implicit', 'urn:ietf:params:oauth:grant-type:device_code'])
      expect((await asApp(inst.first, app, '/token', { grant_type: name })).body['error']).toBe(
        'unsupported_grant_type',
      );
  });
  test('token_endpoint_auth_methods_supported: each lets a client in; an unknown one cannot be registered', async () => {
    const form = { grant_type: 'client_credentials', scope: 'system/*.rs' };
    const system = { kind: 'backend', redirectUris: [], scope: 'system/*.rs' } as const;
    const ways: Readonly<Record<string, () => Promise<TokenReply>>> = {
      client_secret_basic: async () =>
        asApp(inst.first, await makeApp(inst.first, { ...system, auth: 'client_secret_basic' }), '/token', form),
      client_secret_post: async () => {
        const { clientId, secret } = await makeApp(inst.first, { ...system, auth: 'client_secret_post' });
        return post(inst.second, '/token', { ...form, client_id: clientId, client_secret: secret ?? '' });
      },
      private_key_jwt: async () => {
        const client = await makeApp(inst.first, {
          ...system,
          auth: 'private_key_jwt',
          jwks: { keys: Object.values(keys).map(({ jwk }) => jwk) },
        });
        for (const alg of Object.keys(keys)) {
          const reply = await post(inst.second, '/token', {
            ...form,
            client_assertion: await assertion(client, alg),
            client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          });
          if (reply.status !== 200 || alg === Object.keys(keys).at(-1)) return reply;
        }
        throw new Error('No algorithm is supported');
      },
      none: async () => exchange(inst.first, app, await inst.flow(app)),
    };
    expect([...texts(openid, 'token_endpoint_auth_methods_supported')].sort()).toEqual(Object.keys(ways).sort());
    for (const [name, way] of Object.entries(ways)) expect([name, (await way()).status]).toEqual([name, 200]);
    expect(Object.keys(keys).sort()).toEqual(['ES384', 'RS384']);
    for (const method of ['client_secret_jwt', 'tls_client_auth'])
      await expect(makeApp(inst.first, { auth: method as 'none' })).rejects.toThrow(/token_endpoint_auth_method/);
  });
  test('response types and modes, challenges, subjects, id_token algorithms, claims', async () => {
    expect(openid).toMatchObject({
      response_types_supported: ['code'],
      response_modes_supported: ['query'],
      code_challenge_methods_supported: ['S256'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
      request_uri_parameter_supported: false,
      claims_parameter_supported: false,
      claim_types_supported: ['normal'],
      authorization_response_iss_parameter_supported: true,
    });
    const flow = await inst.flow(app, {
      response_mode: 'query',
      response_type: 'code',
      scope: 'openid fhirUser profile patient/*.rs',
    });
    expect(flow.answer.get('iss')).toBe(openid['issuer']);
    const { body } = await exchange(inst.first, app, flow);
    const [header, payload] = String(body['id_token'])
      .split('.')
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Document);
    expect(header?.['alg']).toBe('RS256');
    // Two accounts of the same app, and two apps of the same account: `sub` is public.
    const other = await makeApp(inst.first);
    const again = (await exchange(inst.first, other, await inst.flow(other))).body;
    expect(
      (JSON.parse(Buffer.from(String(again['id_token']).split('.')[1] ?? '', 'base64url').toString()) as Document)[
        'sub'
      ],
    ).toBe(payload?.['sub']);
    for (const claim of texts(openid, 'claims_supported').filter((c) => !['acr', 'amr', 'auth_time'].includes(c)))
      expect(payload).toHaveProperty(claim);
    for (const mode of ['fragment', 'form_post']) {
      const refused = await inst.flow(app, { response_mode: mode }).then(
        ({ redirect }) => redirect,
        (error: unknown) => String(error),
      );
      expect(refused).not.toContain('code=');
      expect(refused).toMatch(/invalid_request|not allowed|unsupported/);
    }
  });
  test('acr, amr, auth_time and sid are told when they are promised', async () => {
    const { body } = await exchange(
      inst.first,
      app,
      await inst.flow(app, { scope: 'openid patient/*.rs', max_age: '3600' }),
    );
    const payload = JSON.parse(
      Buffer.from(String(body['id_token']).split('.')[1] ?? '', 'base64url').toString(),
    ) as Document;
    const promised = texts(openid, 'claims_supported');
    if (promised.includes('auth_time')) expect(payload['auth_time']).toBe(inst.session.authTime);
    if (promised.includes('amr')) expect(payload['amr']).toEqual(['pwd', 'mfa']);
    expect(promised).not.toContain('acr');
    if (!promised.includes('sid')) expect(payload).not.toHaveProperty('sid');
  });
});

describe('capabilities: each is kept', () => {
  const SCOPE = 'openid fhirUser launch/patient patient/Patient.rs';
  const tokensOf = async (parameters: Readonly<Record<string, string>>, client = app): Promise<Document> =>
    (await exchange(inst.second, client, await inst.flow(client, parameters))).body;
  const ehrLaunch = async (more: readonly Readonly<Record<string, unknown>>[] = []): Promise<Document> => {
    const url = await launchHandle([{ name: 'patient', valueString: 'Patient/1' }, ...more]);
    return (
      await asStaff({
        launch: url.searchParams.get('launch') ?? '',
        scope: 'launch openid fhirUser patient/Patient.rs',
      })
    ).body;
  };
  const byPages = async (client: TestApp): Promise<number> => {
    const { verifier, challenge } = pkce();
    const { redirect } = await visit(
      inst.both,
      inst.browser,
      `${inst.first.issuer}/authorize?${authorizeParameters(inst.first, client, challenge)}`,
    );
    const flow: Flow = {
      answer: redirect?.searchParams ?? new URLSearchParams(),
      redirect: String(redirect),
      verifier,
      prompts: [],
    };
    return (await exchange(inst.first, client, flow)).status;
  };

  const KEPT: Readonly<Record<string, () => Promise<void>>> = {
    'launch-standalone': async () => expect(await byPages(app)).toBe(200),
    'launch-ehr': async () => {
      const url = await launchHandle([{ name: 'patient', valueString: 'Patient/1' }]);
      expect(`${url.origin}${url.pathname}`).toBe('https://app.example.org/launch');
      expect(url.searchParams.get('iss')).toBe(inst.first.fhirBase);
      expect(
        (await asStaff({ launch: url.searchParams.get('launch') ?? '', scope: 'launch patient/Patient.rs' })).status,
      ).toBe(200);
    },
    'authorize-post': async () => {
      const { verifier, challenge } = pkce();
      const posted = await inst.browser.fetch(String(smart['authorization_endpoint']), {
        method: 'POST',
        body: authorizeParameters(inst.first, app, challenge),
      });
      const { redirect } = await visit(inst.both, inst.browser, posted.headers.get('location') ?? '');
      expect(
        (
          await exchange(inst.first, app, {
            answer: redirect?.searchParams ?? new URLSearchParams(),
            redirect: '',
            verifier,
            prompts: [],
          })
        ).status,
      ).toBe(200);
    },
    'client-public': async () => expect(await byPages(await makeApp(inst.first))).toBe(200),
    'client-confidential-symmetric': async () =>
      expect(await byPages(await makeApp(inst.first, { auth: 'client_secret_basic' }))).toBe(200),
    'client-confidential-asymmetric': async () =>
      expect(texts(smart, 'token_endpoint_auth_methods_supported')).toContain('private_key_jwt'),
    'sso-openid-connect': async () => {
      const body = await tokensOf({ scope: SCOPE });
      expect(body['id_token']).toEqual(expect.any(String));
    },
    'context-banner': async () => {
      expect((await ehrLaunch([{ name: 'needPatientBanner', valueBoolean: false }]))['need_patient_banner']).toBe(
        false,
      );
      expect((await tokensOf({ scope: SCOPE }))['need_patient_banner']).toBe(true);
    },
    'context-style': async () => {
      const body = await tokensOf({ scope: SCOPE });
      const response = await fetch(String(body['smart_style_url']), { headers: { origin: 'https://app.example.org' } });
      expect(response.status).toBe(200);
      expect(response.headers.get('access-control-allow-origin')).toBe('*');
      expect(await response.json()).toMatchObject({ color_background: expect.any(String) });
    },
    'context-ehr-patient': async () => expect((await ehrLaunch())['patient']).toBe('1'),
    'context-ehr-encounter': async () => {
      await storeEncounter();
      expect((await ehrLaunch([{ name: 'encounter', valueString: 'Encounter/e1' }]))['encounter']).toBe('e1');
    },
    'context-standalone-patient': async () => expect((await tokensOf({ scope: SCOPE }))['patient']).toBe('1'),
    'permission-offline': async () =>
      expect((await tokensOf({ scope: `${SCOPE} offline_access` }))['refresh_token']).toEqual(expect.any(String)),
    'permission-online': async () =>
      expect((await tokensOf({ scope: `${SCOPE} online_access` }))['refresh_token']).toEqual(expect.any(String)),
    'permission-patient': async () =>
      expect(await readPatient(inst.first, (await tokensOf({ scope: 'patient/Patient.rs' }))['access_token'])).toBe(
        200,
      ),
    'permission-user': async () =>
      expect(await readPatient(inst.first, (await tokensOf({ scope: 'user/Patient.rs' }))['access_token'])).toBe(200),
    'permission-v1': async () =>
      expect(await readPatient(inst.first, (await tokensOf({ scope: 'patient/Patient.read' }))['access_token'])).toBe(
        200,
      ),
    'permission-v2': async () =>
      expect(
        await readPatient(
          inst.first,
          (await tokensOf({ scope: 'patient/Patient.r?birthdate=1980-01-01' }))['access_token'],
        ),
      ).toBe(200),
  };

  test('the list is this one', () =>
    expect([...texts(smart, 'capabilities')].sort()).toEqual(Object.keys(KEPT).sort()));
  test.each(Object.entries(KEPT))('%s', async (_name, keep) => keep());
});

describe('what is served beyond the documents', () => {
  test('other paths below the issuer are the pages and nothing else', async () => {
    for (const path of [
      '/introspection',
      '/revocation',
      '/me',
      '/session/end',
      '/reg',
      '/request',
      '/par',
      '/device',
      '/backchannel',
      '/challenge',
      '/credential',
      '/nonce',
      '/auth',
      '/keys',
      '/certs',
    ])
      for (const method of ['GET', 'POST'])
        expect([
          path,
          (await raw(inst.first, `/oauth${path}`, { method, headers: { 'content-type': FORM } })).status,
        ]).toEqual([path, 404]);
  });
  test('CapabilityStatement.rest.security names the same endpoints', async () => {
    const { rest } = (await (await fetch(`${inst.first.fhirBase}/metadata`)).json()) as {
      readonly rest: readonly { readonly security?: unknown }[];
    };
    const text = JSON.stringify(rest[0]?.security);
    expect(text).toContain('http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris');
    for (const name of ['token_endpoint', 'authorization_endpoint']) expect(text).toContain(String(smart[name]));
    expect(text).toContain('SMART-on-FHIR');
  });
});
