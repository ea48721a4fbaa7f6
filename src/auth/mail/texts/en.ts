/** Letters in English. */
import type { FactorName, LetterTexts } from '../letter.ts';

const FACTORS: Readonly<Record<FactorName, string>> = {
  totp: 'an authenticator app',
  passkey: 'a passkey',
  provider: 'an account with another provider',
};
const NOT_YOU =
  'If this was not you, change your password at once, look at where you are signed in, and tell the clinic:';

export const en: LetterTexts = {
  greeting: (name) => (name === undefined ? 'Hello,' : `Hello ${name},`),
  signature: 'Kairos',
  letters: {
    registration: ({ link }) => ({
      subject: 'Confirm your e-mail address',
      paragraphs: [
        'somebody, probably you, wants to open an account with this address. To go on, open this page within 24 hours and choose a password:',
        link,
        'If this was not you, do nothing: without the link there will be no account.',
      ],
    }),
    'have-account': ({ signIn, reset }) => ({
      subject: 'You have an account already',
      paragraphs: [
        'somebody, probably you, wanted to use this address for an account. It belongs to yours already. Sign in here:',
        signIn,
        'If you have forgotten the password, choose a new one here:',
        reset,
        'If this was not you, do nothing: nothing has changed.',
      ],
    }),
    invitation: ({ link }) => ({
      subject: 'Your invitation to Kairos',
      paragraphs: [
        'the clinic invites you to an account. Open this page within 7 days to accept:',
        link,
        'If you do not know why you got this, do nothing.',
      ],
    }),
    reset: ({ link }) => ({
      subject: 'Choose a new password',
      paragraphs: [
        'somebody, probably you, asked for a new password. Choose one here within 30 minutes; the link works once:',
        link,
        'Your second factor stays as it is. If this was not you, do nothing: the old password goes on working.',
      ],
    }),
    email: ({ link }) => ({
      subject: 'Confirm your new e-mail address',
      paragraphs: [
        'this address was given for an account. While you are signed in, open this page within 24 hours to confirm it:',
        link,
        'If this was not you, do nothing.',
      ],
    }),
    'email-changed': () => ({
      subject: 'Your e-mail address was changed',
      paragraphs: [
        'another e-mail address now belongs to your account, and this one no longer does. If this was not you, tell the clinic at once.',
      ],
    }),
    'password-changed': ({ reset }) => ({
      subject: 'Your password was changed',
      paragraphs: [
        'the password of your account was changed. You were signed out everywhere else, and connected apps lost their access.',
        'If this was not you, choose a new one at once and tell the clinic:',
        reset,
      ],
    }),
    'factor-added': ({ factor, account }) => ({
      subject: 'A way to sign in was added',
      paragraphs: [`${FACTORS[factor]} can now be used to sign in to your account.`, NOT_YOU, account],
    }),
    'factor-removed': ({ factor, account }) => ({
      subject: 'A way to sign in was removed',
      paragraphs: [`${FACTORS[factor]} was removed from your account.`, NOT_YOU, account],
    }),
    'factors-reset': ({ reset }) => ({
      subject: 'Your ways to sign in were reset',
      paragraphs: [
        'the clinic removed all second factors of your account, and you were signed out everywhere. Sign in with your password and add a new one.',
        'If you did not ask for this, choose a new password at once and tell the clinic:',
        reset,
      ],
    }),
    'recovery-code-used': ({ left, account }) => ({
      subject: 'A recovery code was used',
      paragraphs: [`one of your recovery codes was used to sign in; ${left} are left.`, NOT_YOU, account],
    }),
    'recovery-codes-renewed': ({ account }) => ({
      subject: 'New recovery codes were made',
      paragraphs: ['new recovery codes were made for your account; the old ones no longer work.', NOT_YOU, account],
    }),
    'new-device': ({ device, account }) => ({
      subject: 'A sign-in from a new device',
      paragraphs: [
        `your account was used from a device that it was not used from before${device === '' ? '' : ` (${device})`}.`,
        NOT_YOU,
        account,
      ],
    }),
    'profile-linked': ({ account }) => ({
      subject: 'A health record was connected to your account',
      paragraphs: ['a health record was connected to your account.', NOT_YOU, account],
    }),
    'roles-changed': () => ({
      subject: 'Your rights were changed',
      paragraphs: ['the clinic changed what your account may do. Sign in again to go on.'],
    }),
    disabled: () => ({
      subject: 'Your account was closed',
      paragraphs: [
        'the clinic has closed your account: nobody can sign in to it. If this is a mistake, call the clinic.',
      ],
    }),
  },
};
