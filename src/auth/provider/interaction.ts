/** What our pages do for the authorization server: show what an app asks for, and hand in what the person decided. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors, type Client, type InteractionResults } from 'oidc-provider';
import { badRequest, errorIssue, FhirError } from '../../fhir/outcome.ts';
import { accountById, fhirUserOf } from '../accounts/account.ts';
import type { Session } from '../session/session.ts';
import { idOf, writeContext, type SmartContext } from '../smart/context.ts';
import { styleUrl } from '../smart/configuration.ts';
import type { LaunchContext } from '../smart/launch.ts';
import { parseScopes, permits, scopeText, type Scope } from '../smart/scope.ts';
import { STATIC_SCOPES } from './config.ts';
import type { AuthorizationServer } from './create.ts';
import { chosenPatient, launchOf, needsPatient, scopesOf, usableSession } from './policy.ts';

export interface InteractionView {
  readonly uid: string;
  readonly prompt: 'login' | 'patient' | 'consent';
  readonly client: {
    readonly id: string;
    readonly name: string;
    readonly logoUri?: string;
    readonly policyUri?: string;
    readonly tosUri?: string;
  };
  /** Requested, and the app may have them. */
  readonly scopes: readonly Scope[];
  readonly launch: LaunchContext | undefined;
  /** `Patient/id` in context: of the launch, or as chosen. */
  readonly patient: string | undefined;
  /** The app asks to come back without the person. */
  readonly offline: boolean;
  /** Where the answer goes: for the policy of forms. */
  readonly redirectUri: string;
  /** The person must sign in anew, later than this (seconds since the epoch): `prompt=login`, `max_age`. */
  readonly signInAfter: number | undefined;
  /** Languages that the app asks for. */
  readonly uiLocales: string | undefined;
  readonly loginHint: string | undefined;
}

type Details = Awaited<ReturnType<ReturnType<AuthorizationServer['current']>['interactionDetails']>>;

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** @throws FhirError 400 when it is over, or was begun in another browser */
async function detailsOf(
  server: AuthorizationServer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Details> {
  try {
    return await server.current().interactionDetails(request, response);
  } catch (error) {
    if (!(error instanceof errors.SessionNotFound)) throw error;
    throw new FhirError(400, [
      errorIssue('expired', 'This request of an app is over, or was begun in another browser: start again in the app.'),
    ]);
  }
}

async function submit(
  server: AuthorizationServer,
  request: IncomingMessage,
  response: ServerResponse,
  result: InteractionResults,
): Promise<string> {
  return server.current().interactionResult(request, response, result);
}

const asReference = (type: string, id: string): string => (id.includes('/') ? id : `${type}/${id}`);

const promptOf = (details: Details): InteractionView['prompt'] => {
  const { name } = details.prompt;
  return name === 'patient' || name === 'consent' ? name : 'login';
};

const demandPrompt = (details: Details, prompt: InteractionView['prompt']): void => {
  if (promptOf(details) !== prompt) throw badRequest('invalid', 'This step of signing in is over: go back to the app.');
};

async function clientOf(server: AuthorizationServer, details: Details): Promise<Client> {
  const client = await server.current().Client.find(text(details.params['client_id']) ?? '');
  if (!client) throw badRequest('not-found', 'This app is no longer registered here.');
  return client;
}

const FRESH = ['login_prompt', 'max_age'];

/** Not through a submission of an earlier step, which has done it. */
const signInAfter = ({ prompt, iat }: Details): number | undefined =>
  prompt.name === 'login' && prompt.reasons.some((reason) => FRESH.includes(reason)) ? iat : undefined;

async function patientOf(server: AuthorizationServer, details: Details): Promise<string | undefined> {
  const launch = await launchOf(server.parts, details.params);
  const id = launch?.context.patient ?? chosenPatient(details.lastSubmission);
  return id === undefined ? undefined : asReference('Patient', id);
}

/** @throws FhirError 400 when the cookie of this browser does not belong to an interaction */
export async function interactionOf(
  server: AuthorizationServer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<InteractionView> {
  const details = await detailsOf(server, request, response);
  const client = await clientOf(server, details);
  const scopes = scopesOf(details.params);
  const launch = await launchOf(server.parts, details.params);
  return {
    uid: details.uid,
    prompt: promptOf(details),
    client: {
      id: client.clientId,
      name: client.clientName ?? client.clientId,
      ...(client.logoUri === undefined ? {} : { logoUri: client.logoUri }),
      ...(client.policyUri === undefined ? {} : { policyUri: client.policyUri }),
      ...(client.tosUri === undefined ? {} : { tosUri: client.tosUri }),
    },
    scopes,
    launch: launch?.context,
    patient: await patientOf(server, details),
    offline: scopes.some((scope) => scope.text === 'offline_access'),
    redirectUri: text(details.params['redirect_uri']) ?? '',
    signInAfter: signInAfter(details),
    uiLocales: text(details.params['ui_locales']),
    loginHint: text(details.params['login_hint']),
  };
}

/**
 * The person is signed in to our pages.
 * @returns where to send the browser
 * @throws FhirError 400 when the session is not good for apps, or is older than the app asked for
 */
export async function finishLogin(
  server: AuthorizationServer,
  request: IncomingMessage,
  response: ServerResponse,
  session: Session,
): Promise<string> {
  const details = await detailsOf(server, request, response);
  demandPrompt(details, 'login');
  const usable = await usableSession(server.parts, request.headers.cookie);
  if (usable?.uid !== session.uid) throw badRequest('login', 'Sign in first.');
  const after = signInAfter(details);
  if (after !== undefined && session.authTime < after) throw badRequest('login', 'The app asks you to sign in again.');
  return submit(server, request, response, {
    // The time of signing in is repeated: without it each later step would count as one.
    login: { accountId: session.accountId, ts: session.authTime, amr: [...session.amr], remember: false },
  });
}

/** @throws FhirError 400 when this browser is no longer signed in as who began */
async function demandSession(
  server: AuthorizationServer,
  details: Details,
  request: IncomingMessage,
): Promise<Session> {
  const session = await usableSession(server.parts, request.headers.cookie);
  if (!session || session.accountId !== details.session?.accountId)
    throw badRequest('login', 'You are no longer signed in: start again in the app.');
  return session;
}

/**
 * The person chose for whom the app is opened. That they may act for this patient is checked before (`auth/access/people.ts`).
 * @param patient `Patient/id` @returns where to send the browser
 */
export async function choosePatient(
  server: AuthorizationServer,
  request: IncomingMessage,
  response: ServerResponse,
  patient: string,
): Promise<string> {
  const details = await detailsOf(server, request, response);
  demandPrompt(details, 'patient');
  await demandSession(server, details, request);
  if (!/^Patient\/[A-Za-z0-9.-]{1,64}$/.test(patient)) throw badRequest('value', 'This is no patient.');
  return submit(server, request, response, { patient });
}

function contextOf(
  server: AuthorizationServer,
  scopes: readonly Scope[],
  patient: string | undefined,
  launch: LaunchContext | undefined,
  fhirUser: string | undefined,
): SmartContext {
  const has = (name: string): boolean => scopes.some((scope) => scope.text === name);
  const encounter = launch?.encounter;
  return {
    ...(patient === undefined ? {} : { patient: idOf(patient) }),
    ...(encounter === undefined ? {} : { encounter: idOf(encounter) }),
    ...(launch?.fhirContext === undefined ? {} : { fhirContext: launch.fhirContext }),
    ...(launch?.intent === undefined ? {} : { intent: launch.intent }),
    // Standalone there is nobody else who could show whose data these are.
    need_patient_banner: launch?.needPatientBanner ?? true,
    smart_style_url: styleUrl(server.parts),
    ...(has('fhirUser') && has('openid') && fhirUser !== undefined
      ? { fhirUser: `${server.parts.fhirBase}/${fhirUser}` }
      : {}),
  };
}

/**
 * The person grants these scopes, or narrower ones than were asked for.
 * @param granted texts of scopes; none: the same as `denyConsent`
 * @returns where to send the browser
 */
export async function grantConsent(
  server: AuthorizationServer,
  request: IncomingMessage,
  response: ServerResponse,
  granted: readonly string[],
): Promise<string> {
  const { parts } = server;
  const details = await detailsOf(server, request, response);
  demandPrompt(details, 'consent');
  const session = await demandSession(server, details, request);
  const account = await accountById(parts, session.accountId);
  if (!account) return denyConsent(server, request, response);
  const fhirUser = fhirUserOf(account);
  const permitted = permits(parseScopes(granted.join(' ')), scopesOf(details.params));
  // Who is nobody here cannot say who they are.
  const scopes = fhirUser === undefined ? permitted.filter(({ text: name }) => name !== 'fhirUser') : permitted;
  if (scopes.length === 0) return denyConsent(server, request, response);
  const launch = await launchOf(parts, details.params);
  const patient = await patientOf(server, details);
  if (needsPatient(scopes) && patient === undefined) throw badRequest('required', 'Choose a patient first.');

  const client = await clientOf(server, details);
  const { Grant } = server.current();
  const grant = new Grant({ accountId: session.accountId, clientId: client.clientId });
  const known = scopes.filter((scope) => STATIC_SCOPES.includes(scope.text));
  if (known.length > 0) grant.addOIDCScope(scopeText(known));
  // All of them: the scope of a token is what is granted for the FHIR server.
  grant.addResourceScope(parts.fhirBase, scopeText(scopes));
  const grantId = await grant.save();
  const isOffline = scopes.some((scope) => scope.text === 'offline_access');
  await writeContext(parts, {
    grantId,
    accountId: session.accountId,
    clientId: client.clientId,
    sessionUid: isOffline ? undefined : session.uid,
    context: contextOf(server, scopes, patient, launch?.context, fhirUser),
  });
  await server.observe({ kind: 'consent', clientId: client.clientId, accountId: session.accountId, grantId });
  return submit(server, request, response, { consent: { grantId } });
}

/** The person refuses, at any step. @returns where to send the browser */
export async function denyConsent(
  server: AuthorizationServer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<string> {
  await detailsOf(server, request, response);
  return submit(server, request, response, {
    error: 'access_denied',
    error_description: 'the user refused to give access',
  });
}
