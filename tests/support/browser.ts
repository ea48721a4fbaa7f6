/** A real browser for tests of pages: Chromium without a window, as it comes from npm. */
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import bundled from '@sparticuz/chromium';
import { chromium, type Browser, type BrowserContext, type CDPSession, type Page } from 'playwright-core';

/** Nothing that weakens what a browser checks (same origin, CSP, mixed content): only what a container needs. */
const ARGS = ['--no-sandbox', '--no-zygote', '--disable-gpu', '--disable-dev-shm-usage', '--font-render-hinting=none'];

/**
 * One browser for a test file; undefined when it cannot start on this machine. In CI that is a failure.
 * @see https://playwright.dev/docs/api/class-browsertype#browser-type-launch
 */
export async function openBrowser(): Promise<Browser | undefined> {
  try {
    const executablePath = process.env['CHROMIUM'] ?? (await bundled.executablePath());
    return await chromium.launch({ executablePath, args: ARGS, headless: true, timeout: 30_000 });
  } catch (error) {
    if (process.env['CI'] === 'true') throw error;
    const reason = error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : 'unknown reason';
    console.warn(`Chromium cannot start here, so tests in a browser are skipped: ${reason}`);
    return undefined;
  }
}

export interface Look {
  readonly width: number;
  readonly scheme: 'light' | 'dark';
  readonly locale: 'en' | 'es';
}

export const newContext = (browser: Browser, { width, scheme, locale }: Look): Promise<BrowserContext> =>
  browser.newContext({
    viewport: { width, height: 800 },
    colorScheme: scheme,
    locale,
    // Another language than the browser's own must come from the page.
    extraHTTPHeaders: { 'Accept-Language': locale },
  });

/** A passkey device that always says yes, as the page's own. @see https://chromedevtools.github.io/devtools-protocol/tot/WebAuthn/ */
export async function addAuthenticator(page: Page): Promise<{ readonly session: CDPSession; readonly id: string }> {
  const session = await page.context().newCDPSession(page);
  await session.send('WebAuthn.enable');
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return { session, id: authenticatorId };
}

const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

interface AxeResults {
  readonly violations: readonly {
    readonly id: string;
    readonly help: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
  }[];
}

/** Colours in the middle of a transition are not those that people see. */
const settle = (page: Page): Promise<void> =>
  page.evaluate<void>(
    'Promise.all(document.getAnimations().map((a) => a.finished.catch(() => null))).then(() => undefined)',
  );

/** What axe finds wrong with a page, in words. Injected past the page's own policy, which stays in force for the page. */
export async function violations(page: Page): Promise<readonly string[]> {
  await settle(page);
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: AXE });
  const { result } = await session.send('Runtime.evaluate', {
    expression: `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then((r) => JSON.stringify({ violations: r.violations }))`,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  const { violations: found } = JSON.parse(String(result.value)) as AxeResults;
  return found.flatMap(({ id, help, nodes }) =>
    nodes.map((n) => `${id}: ${help}: ${n.html.slice(0, 160)} ${n.failureSummary ?? ''}`),
  );
}

/** Whether something sticks out to the right, which makes people scroll in two directions (WCAG 1.4.10). */
export const overflows = (page: Page): Promise<boolean> =>
  page.evaluate<boolean>('document.documentElement.scrollWidth > document.documentElement.clientWidth');

/** Keeps pictures for people where KAIROS_SHOTS names a folder. */
export async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env['KAIROS_SHOTS'];
  if (folder === undefined) return;
  await mkdir(folder, { recursive: true });
  await settle(page);
  await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
}
