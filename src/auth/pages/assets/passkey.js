// Passkeys: the page asks the browser, the browser asks the person. @see https://www.w3.org/TR/webauthn-3/
const post = async (path, fields) => {
  const reply = await fetch(path, {
    method: 'POST',
    credentials: 'same-origin',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json', 'X-CSRF-Token': fields.csrf },
    body: JSON.stringify(fields),
  });
  const body = await reply.json().catch(() => ({}));
  if (!reply.ok) throw Object.assign(new Error('refused'), { message: body.message ?? '' });
  return body;
};

const usable =
  'PublicKeyCredential' in window &&
  'parseRequestOptionsFromJSON' in PublicKeyCredential &&
  'parseCreationOptionsFromJSON' in PublicKeyCredential;

for (const form of document.querySelectorAll('form[data-passkey]')) {
  const button = form.querySelector('button');
  const problem = form.querySelector('[role=alert]');
  form.hidden = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const tell = (text) => {
      problem.textContent = text;
      problem.hidden = text === '';
    };
    if (!usable) return tell(form.dataset.unsupported);
    tell('');
    button.disabled = true;
    try {
      const fields = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
      const isNew = form.dataset.passkey === 'create';
      const { options, flow } = await post(`${form.action}/options`, fields);
      const credential = isNew
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      const { next } = await post(form.action, { ...fields, flow: flow ?? '', credential: JSON.stringify(credential) });
      location.assign(next);
    } catch (error) {
      // A person who cancels gets no more than the hint; words from the server are shown.
      tell(
        error instanceof Error && error.message !== '' && error.name === 'Error' ? error.message : form.dataset.failed,
      );
      button.disabled = false;
      button.focus();
    }
  });
}
