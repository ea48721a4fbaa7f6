/** Letters in Spanish. */
import type { FactorName, LetterTexts } from '../letter.ts';

const FACTORS: Readonly<Record<FactorName, string>> = {
  totp: 'una aplicación de autenticación',
  passkey: 'una llave de acceso',
  provider: 'una cuenta de otro proveedor',
};
const NOT_YOU =
  'Si no ha sido usted, cambie la contraseña enseguida, revise dónde tiene la sesión abierta y avise a la clínica:';

export const es: LetterTexts = {
  greeting: (name) => (name === undefined ? 'Hola:' : `Hola, ${name}:`),
  signature: 'Kairos',
  letters: {
    registration: ({ link }) => ({
      subject: 'Confirme su correo electrónico',
      paragraphs: [
        'Alguien, probablemente usted, quiere abrir una cuenta con esta dirección. Para continuar, abra esta página antes de 24 horas y elija una contraseña:',
        link,
        'Si no ha sido usted, no haga nada: sin el enlace no habrá cuenta.',
      ],
    }),
    'have-account': ({ signIn, reset }) => ({
      subject: 'Ya tiene una cuenta',
      paragraphs: [
        'Alguien, probablemente usted, quiso usar esta dirección para una cuenta. Ya es la de la suya. Inicie sesión aquí:',
        signIn,
        'Si ha olvidado la contraseña, elija una nueva aquí:',
        reset,
        'Si no ha sido usted, no haga nada: nada ha cambiado.',
      ],
    }),
    invitation: ({ link }) => ({
      subject: 'Su invitación a Kairos',
      paragraphs: [
        'La clínica le invita a tener una cuenta. Abra esta página antes de 7 días para aceptar:',
        link,
        'Si no sabe por qué ha recibido este mensaje, no haga nada.',
      ],
    }),
    reset: ({ link }) => ({
      subject: 'Elija una contraseña nueva',
      paragraphs: [
        'Alguien, probablemente usted, ha pedido una contraseña nueva. Elíjala aquí antes de 30 minutos; el enlace sirve una sola vez:',
        link,
        'Su segundo factor no cambia. Si no ha sido usted, no haga nada: la contraseña anterior sigue siendo válida.',
      ],
    }),
    email: ({ link }) => ({
      subject: 'Confirme su nuevo correo electrónico',
      paragraphs: [
        'Esta dirección se ha indicado para una cuenta. Con la sesión iniciada, abra esta página antes de 24 horas para confirmarla:',
        link,
        'Si no ha sido usted, no haga nada.',
      ],
    }),
    'email-changed': () => ({
      subject: 'Su correo electrónico ha cambiado',
      paragraphs: [
        'Ahora su cuenta tiene otra dirección de correo, y esta ya no le pertenece. Si no ha sido usted, avise a la clínica enseguida.',
      ],
    }),
    'password-changed': ({ reset }) => ({
      subject: 'Su contraseña ha cambiado',
      paragraphs: [
        'La contraseña de su cuenta ha cambiado. Se han cerrado las demás sesiones y las aplicaciones conectadas han perdido su acceso.',
        'Si no ha sido usted, elija otra enseguida y avise a la clínica:',
        reset,
      ],
    }),
    'factor-added': ({ factor, account }) => ({
      subject: 'Se ha añadido una forma de iniciar sesión',
      paragraphs: [`Ahora se puede usar ${FACTORS[factor]} para iniciar sesión en su cuenta.`, NOT_YOU, account],
    }),
    'factor-removed': ({ factor, account }) => ({
      subject: 'Se ha quitado una forma de iniciar sesión',
      paragraphs: [`Se ha quitado ${FACTORS[factor]} de su cuenta.`, NOT_YOU, account],
    }),
    'factors-reset': ({ reset }) => ({
      subject: 'Se han restablecido sus formas de iniciar sesión',
      paragraphs: [
        'La clínica ha quitado todos los segundos factores de su cuenta y se han cerrado todas sus sesiones. Inicie sesión con la contraseña y añada uno nuevo.',
        'Si no lo ha pedido, elija otra contraseña enseguida y avise a la clínica:',
        reset,
      ],
    }),
    'recovery-code-used': ({ left, account }) => ({
      subject: 'Se ha usado un código de recuperación',
      paragraphs: [
        `Se ha usado uno de sus códigos de recuperación para iniciar sesión; quedan ${left}.`,
        NOT_YOU,
        account,
      ],
    }),
    'recovery-codes-renewed': ({ account }) => ({
      subject: 'Se han creado códigos de recuperación nuevos',
      paragraphs: [
        'Se han creado códigos de recuperación nuevos para su cuenta; los anteriores ya no sirven.',
        NOT_YOU,
        account,
      ],
    }),
    'new-device': ({ device, account }) => ({
      subject: 'Inicio de sesión desde un dispositivo nuevo',
      paragraphs: [
        `Su cuenta se ha usado desde un dispositivo nuevo${device === '' ? '' : ` (${device.replace(' on ', ' en ')})`}.`,
        NOT_YOU,
        account,
      ],
    }),
    'profile-linked': ({ account }) => ({
      subject: 'Se ha conectado una historia clínica a su cuenta',
      paragraphs: ['Se ha conectado una historia clínica a su cuenta.', NOT_YOU, account],
    }),
    'roles-changed': () => ({
      subject: 'Sus permisos han cambiado',
      paragraphs: ['La clínica ha cambiado lo que su cuenta puede hacer. Vuelva a iniciar sesión para continuar.'],
    }),
    disabled: () => ({
      subject: 'Su cuenta se ha cerrado',
      paragraphs: [
        'La clínica ha cerrado su cuenta: nadie puede iniciar sesión en ella. Si se trata de un error, llame a la clínica.',
      ],
    }),
  },
};
