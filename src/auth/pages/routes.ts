/** Every page: its address, who may see it, and what answers. */
import { showAccount, saveProfile } from './account.ts';
import { disableOne, enableOne, registerNewClient, rotateOne, showClients, showNewClient } from './admin-clients.ts';
import { showHandedOut, withdrawOne } from './admin-handed-out.ts';
import { makeCode, sendInvitation, showCode, showInvite } from './admin-invite.ts';
import { actOnOne, showAccounts, showOne } from './admin-people.ts';
import { decideConsent, showConsent } from './consent.ts';
import { changeEmail, savePassword, showEmail, showPassword } from './credentials.ts';
import {
  deletePasskey,
  finishTotp,
  makeCodes,
  newPasskeyOptions,
  savePasskey,
  showPasskeys,
  showRecovery,
  showTotp,
  startTotp,
  switchTotpOff,
} from './factors.ts';
import { login } from './interaction.ts';
import { doInvitation, showInvitation } from './invitation.ts';
import { showLanding } from './landing.ts';
import { showMailbox } from './mailbox.ts';
import { revokeApp, showApps } from './my-apps.ts';
import { redeemCode, showPeople } from './my-people.ts';
import { endEverywhere, endThere, showSessions } from './my-sessions.ts';
import { pickPatient, showPicker } from './picker.ts';
import { doRegister, doVerify, showRegister, showVerify } from './register.ts';
import { askReset, doReset, showReset } from './reset.ts';
import { open, own, type Route, type Rule } from './route.ts';
import { doProve, passkeyProof, proofOptions, showEnrol, showProof } from './second-factor.ts';
import { extendOwnSession, showSession } from './session-state.ts';
import { doSignIn, passkeyOptions, passkeySignIn, showSignIn } from './sign-in.ts';
import { showSignOut, signOut } from './sign-out.ts';

const SENSITIVE: Rule = { stepUp: true };
/** Also while a second factor is being set up for the first time. */
const FACTORS: Rule = { stepUp: true, enrolling: true };
const ADMIN: Rule = { roles: ['admin'] };
const ADMIN_ACT: Rule = { roles: ['admin'], stepUp: true };
const DESK: Rule = { roles: ['admin', 'staff', 'physician'] };
const DESK_ACT: Rule = { ...DESK, stepUp: true };

export const ROUTES: readonly Route[] = [
  open('/', { GET: showLanding }),
  open('/dev/mail', { GET: showMailbox }),
  open('/session', { GET: showSession, POST: extendOwnSession }, { touches: false }),

  open('/signin', { GET: showSignIn, POST: doSignIn }),
  open('/signin/passkey', { POST: passkeySignIn }),
  open('/signin/passkey/options', { POST: passkeyOptions }),
  open('/signin/second', { GET: showProof, POST: doProve }),
  open('/signin/second/passkey', { POST: passkeyProof }),
  open('/signin/second/passkey/options', { POST: proofOptions }),
  open('/signin/enrol', { GET: showEnrol }),
  open('/step-up', { GET: showProof, POST: doProve }),
  open('/step-up/passkey', { POST: passkeyProof }),
  open('/step-up/passkey/options', { POST: proofOptions }),
  open('/signout', { GET: showSignOut, POST: signOut }),

  open('/register', { GET: showRegister, POST: doRegister }),
  open('/verify', { GET: showVerify, POST: doVerify }),
  open('/reset', { GET: showReset, POST: askReset }),
  open('/reset/choose', { POST: doReset }),
  open('/invitation', { GET: showInvitation, POST: doInvitation }),

  own('/account', { GET: showAccount }),
  own('/account/profile', { POST: saveProfile }),
  own('/account/email', { GET: showEmail, POST: changeEmail }, SENSITIVE),
  own('/account/password', { GET: showPassword, POST: savePassword }),
  own('/account/totp', { GET: showTotp, POST: startTotp }, FACTORS),
  own('/account/totp/confirm', { POST: finishTotp }, FACTORS),
  own('/account/totp/remove', { POST: switchTotpOff }, SENSITIVE),
  own('/account/passkeys', { GET: showPasskeys, POST: savePasskey }, FACTORS),
  own('/account/passkeys/options', { POST: newPasskeyOptions }, FACTORS),
  own('/account/passkeys/remove', { POST: deletePasskey }, SENSITIVE),
  own('/account/recovery-codes', { GET: showRecovery, POST: makeCodes }, SENSITIVE),
  own('/account/people', { GET: showPeople, POST: redeemCode }),
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
  own('/admin/people', { GET: showAccounts }, DESK),
  own('/admin/people/invite', { GET: showInvite, POST: sendInvitation }, ADMIN_ACT),
  own('/admin/people/code', { GET: showCode, POST: makeCode }, DESK_ACT),
  own('/admin/people/open', { GET: showHandedOut, POST: withdrawOne }, ADMIN_ACT),
  own('/admin/people/:id', { GET: showOne }, DESK),
  own('/admin/people/:id/:act', { POST: actOnOne }, DESK_ACT),

  open('/oauth/interaction/:uid/login', { GET: login }),
  own('/oauth/interaction/:uid/patient', { GET: showPicker, POST: pickPatient }),
  own('/oauth/interaction/:uid/consent', { GET: showConsent, POST: decideConsent }),
];
