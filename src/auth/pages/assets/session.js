// Warns two minutes before the session ends, and offers to go on. Without scripts the session just ends.
const dialog = document.getElementById('session-warning');
const WARN_SECONDS = 120;
let timer;

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

async function look(method = 'GET') {
  let left;
  try {
    const reply = await ask(method);
    if (reply.status === 401) return leave();
    if (!reply.ok) return later(30);
    ({ expiresInSeconds: left } = await reply.json());
  } catch {
    return later(30);
  }
  if (left <= WARN_SECONDS) {
    if (!dialog.open) dialog.showModal();
    later(Math.max(1, left + 1));
  } else {
    if (dialog.open) dialog.close();
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
