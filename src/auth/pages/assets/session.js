// Warns two minutes before the session ends, and offers to go on; where nothing can be extended it says when it ends. Without scripts the session just ends.
const dialog = document.getElementById('session-warning');
const WARN_SECONDS = 120;
let timer;
/** The person knows when it ends for good. */
let isTold = false;

const ask = (method) =>
  fetch('/session', {
    method,
    credentials: 'same-origin',
    headers: {
      Accept: 'application/json',
      ...(method === 'POST' ? { 'Content-Type': 'application/json', 'X-CSRF-Token': dialog.dataset.csrf } : {}),
    },
    ...(method === 'POST' ? { body: '{}' } : {}),
  });

function leave() {
  const here = location.pathname + location.search;
  location.assign(`/signin?reason=expired&return=${encodeURIComponent(here)}`);
}

const later = (seconds) => {
  clearTimeout(timer);
  timer = setTimeout(look, Math.min(seconds, 86_400) * 1000);
};

function warn() {
  // What was chosen the last time is no answer to this question.
  dialog.returnValue = '';
  if (!dialog.open) dialog.showModal();
}

function tellEnd(seconds) {
  if (isTold) return;
  isTold = true;
  const time = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: 'short' });
  const button = dialog.querySelector('button');
  dialog.querySelector('h2').textContent = dialog.dataset.endsTitle;
  dialog.querySelector('p').textContent = dialog.dataset.ends.replace(
    '{time}',
    time.format(new Date(Date.now() + seconds * 1000)),
  );
  button.textContent = dialog.dataset.endsButton;
  button.value = '';
  warn();
}

async function look(method = 'GET') {
  let left;
  let most;
  try {
    const reply = await ask(method);
    if (reply.status === 401) return leave();
    if (!reply.ok) return later(30);
    ({ expiresInSeconds: left, absoluteSeconds: most } = await reply.json());
  } catch {
    return later(30);
  }
  if (left <= WARN_SECONDS) {
    if (most <= WARN_SECONDS) tellEnd(most);
    else warn();
    later(Math.max(1, left + 1));
  } else {
    if (dialog.open) dialog.close('');
    later(left - WARN_SECONDS);
  }
}

if (dialog) {
  dialog.addEventListener('close', () => {
    if (dialog.returnValue === 'extend') void look('POST');
  });
  // A laptop that slept has missed its timers.
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') void look();
  });
  void look();
}
