/** The kinds of values that settings have: how each is written in the environment, and what is refused. */
import { isIP } from 'node:net';
import path from 'node:path';

/** Reads one kind of value; throws an Error whose message completes "NAME must be …". */
export interface Kind<T> {
  readonly label: string;
  parse(text: string): T;
}

export const oneOf = <T extends string>(...choices: readonly T[]): Kind<T> => ({
  label: choices.map((c) => `\`${c}\``).join(', '),
  parse(text) {
    const choice = choices.find((c) => c === text.trim().toLowerCase());
    if (choice === undefined) throw new Error(`one of ${choices.join(', ')}`);
    return choice;
  },
});

export const onOff: Kind<boolean> = {
  label: '`on`, `off`',
  parse: (text) => oneOf('on', 'off').parse(text) === 'on',
};

export const integer = (from: number, to: number): Kind<number> => ({
  label: 'number',
  parse(text) {
    const value = Number(text.trim());
    if (!/^\d+$/.test(text.trim()) || value < from || value > to)
      throw new Error(`a whole number from ${from} to ${to}`);
    return value;
  },
});

export const folder: Kind<string> = {
  label: 'path',
  parse(text) {
    if (text.trim() === '' || text.includes('\0')) throw new Error('the path of a folder');
    return path.resolve(text);
  },
};

export const url = (...protocols: readonly string[]): Kind<string> => ({
  label: 'URL',
  parse(text) {
    const wanted = `a URL that starts with ${protocols.map((p) => `${p}//`).join(' or ')}`;
    if (!URL.canParse(text) || !protocols.includes(new URL(text).protocol)) throw new Error(wanted);
    return text;
  },
});

/** Base URL as clients see it, without trailing slash. */
export const publicUrl: Kind<string> = {
  label: 'URL',
  parse(text) {
    const parsed = new URL(url('http:', 'https:').parse(text));
    if (parsed.search !== '' || parsed.hash !== '' || parsed.username !== '') {
      throw new Error('a URL without user name, query and fragment, such as https://kairos.example.org');
    }
    return parsed.href.replace(/\/+$/, '');
  },
};

/** An address that only this machine reaches. */
export const isLoopback = (address: string): boolean =>
  address === 'localhost' || address === '::1' || (isIP(address) === 4 && address.startsWith('127.'));

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)*$/;

/** An address of this machine to listen on. */
export const host: Kind<string> = {
  label: 'address',
  parse(text) {
    const address = text.trim().toLowerCase();
    // What looks like an address must be one.
    const isName = HOST_NAME.test(address) && !/^[\d.]+$/.test(address);
    if (isIP(address) === 0 && !isName)
      throw new Error('an IP address or host name of this machine, such as 127.0.0.1 or 0.0.0.0');
    return address;
  },
};

export const text = (wanted: string, pattern: RegExp): Kind<string> => ({
  label: 'text',
  parse(value) {
    if (!pattern.test(value)) throw new Error(wanted);
    return value;
  },
});

/** Words with commas between them. */
export const words = (wanted: string, pattern: RegExp): Kind<readonly string[]> => ({
  label: 'list',
  parse(value) {
    const list = value
      .split(',')
      .map((w) => w.trim())
      .filter((w) => w !== '');
    if (list.some((w) => !pattern.test(w))) throw new Error(wanted);
    return list;
  },
});

export const json = <T>(parse: (text: string) => T): Kind<T> => ({ label: 'JSON', parse });
