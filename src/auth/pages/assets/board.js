/** Gives the requests of the board of jobs what the guards of our pages ask for, and leads to the proof of identity when that is too old. */
const { csrf } = document.currentScript.dataset;
const { open, send } = XMLHttpRequest.prototype;
const changing = new WeakSet();

XMLHttpRequest.prototype.open = function (method, url, ...more) {
  const changes = !/^(?:GET|HEAD)$/i.test(method);
  open.call(this, method, url, ...more);
  if (new URL(url, location.href).origin !== location.origin) return;
  if (changes) {
    changing.add(this);
    this.setRequestHeader('X-CSRF-Token', csrf);
  }
  this.addEventListener('load', () => {
    if (this.status !== 401) return;
    const here = `${location.pathname}${location.search}`;
    if (changes) location.assign(`/step-up?return=${encodeURIComponent(here)}`);
    else location.reload();
  });
};

XMLHttpRequest.prototype.send = function (body) {
  if (!changing.has(this) || (body !== undefined && body !== null)) return send.call(this, body);
  this.setRequestHeader('Content-Type', 'application/json');
  return send.call(this, '{}');
};
