/** Every page: its address, who may see it, and what answers. */
import { disableOne, enableOne, registerNewClient, rotateOne, showClients, showNewClient } from './admin-clients.ts';
import { decideConsent, showConsent } from './consent.ts';
import { login } from './interaction.ts';
import { showLanding } from './landing.ts';
import { showMailbox } from './mailbox.ts';
import { revokeApp, showApps } from './my-apps.ts';
import { endEverywhere, endThere, showSessions } from './my-sessions.ts';
import { pickPatient, showPicker } from './picker.ts';
import { open, own, type Route, type Rule } from './route.ts';
import { extendOwnSession, showSession } from './session-state.ts';
import { showSignOut, signOut } from './sign-out.ts';

const ADMIN: Rule = { roles: ['admin'] };
const ADMIN_ACT: Rule = { roles: ['admin'], stepUp: true };

export const ROUTES: readonly Route[] = [
  open('/', { GET: showLanding }),
  open('/signout', { GET: showSignOut, POST: signOut }),
  open('/session', { GET: showSession, POST: extendOwnSession }, { touches: false }),
  open('/dev/mail', { GET: showMailbox }),

  own('/account/apps', { GET: showApps }),
  own('/account/apps/revoke', { POST: revokeApp }),
  own('/account/sessions', { GET: showSessions }),
  own('/account/sessions/end', { POST: endThere }),
  own('/account/sessions/end-all', { POST: endEverywhere }),

  own('/admin/clients', { GET: showClients }, ADMIN),
  own('/admin/clients/new', { GET: showNewClient, POST: registerNewClient }, ADMIN_ACT),
  own('/admin/clients/disable', { POST: disableOne }, ADMIN_ACT),
  own('/admin/clients/enable', { POST: enableOne }, ADMIN_ACT),
  own('/admin/clients/rotate', { POST: rotateOne }, ADMIN_ACT),

  open('/oauth/interaction/:uid/login', { GET: login }),
  own('/oauth/interaction/:uid/patient', { GET: showPicker, POST: pickPatient }),
  own('/oauth/interaction/:uid/consent', { GET: showConsent, POST: decideConsent }),
];
