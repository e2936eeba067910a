/**
 * A real Chromium, driven by playwright-core. Every tab records what its network and its console have seen, so that a test
 * can search them for a value.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  type Browser,
  type BrowserContext,
  chromium,
  type Page,
  type Request,
  type Response,
} from 'playwright-core';
import { onTestFailed } from 'vitest';

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const PROGRAM = PATHS.find((path) => existsSync(path));
const WIDTH = 1280;
const PHONE_WIDTH = 390;

/** Debian package `chromium`. In CI it is installed, so that no test is skipped there. */
export const CAN_RUN_CHROMIUM: boolean = process.env.CI !== undefined || PROGRAM !== undefined;

export interface TabOptions {
  /** Default: true. */
  readonly javascript?: boolean;
  /** Default: `light`. */
  readonly scheme?: 'light' | 'dark';
  /** Default: 1280 pixels wide; a phone has 390. */
  readonly phone?: boolean;
  /** Cookies and storage of this tab are shared. Default: those of a new profile. */
  readonly profile?: BrowserContext;
}

/** A page, and what it has loaded. */
export interface Tab {
  readonly page: Page;
  readonly profile: BrowserContext;
  /** Requests and responses with headers and bodies, the history, and console messages, as text. */
  traffic(): Promise<string>;
  /** Of all requests, in order. */
  urls(): readonly string[];
  /** Errors and warnings of the console, and errors of scripts. */
  problems(): readonly string[];
  /** Of the buttons back and forward: addresses and titles. */
  history(): Promise<string>;
  /** Writes `<name>.png` into the folder KEYHOLD_SCREENSHOTS, if it is set. */
  takeScreenshot(name: string): Promise<void>;
}

export interface BrowserOptions {
  /** Ports of 127.0.0.1 that names lead to. Certificates are not verified. */
  readonly hosts?: Readonly<Record<string, number>>;
}

export interface TestBrowser {
  open(options?: TabOptions): Promise<Tab>;
  close(): Promise<void>;
}

/** One for each test file. Throws where Chromium is missing: `describe.skipIf(!CAN_RUN_CHROMIUM)`. */
export async function startChromium(options: BrowserOptions = {}): Promise<TestBrowser> {
  if (PROGRAM === undefined) throw new Error('Chromium is missing. Install the Debian package chromium.');
  // Chromium refuses to run its sandbox as root.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const rules = Object.entries(options.hosts ?? {}).map(([name, port]) => `MAP ${name} 127.0.0.1:${port}`);
  if (rules.length > 0) args.push(`--host-resolver-rules=${rules.join(', ')}`);
  const browser = await chromium.launch({ executablePath: PROGRAM, args });
  return {
    open: (options = {}) => openTab(browser, options),
    close: () => browser.close(),
  };
}

async function openTab(browser: Browser, options: TabOptions): Promise<Tab> {
  const { javascript = true, scheme = 'light', phone = false } = options;
  const profile =
    options.profile ??
    (await browser.newContext({
      javaScriptEnabled: javascript,
      colorScheme: scheme,
      viewport: { width: phone ? PHONE_WIDTH : WIDTH, height: 900 },
      hasTouch: phone,
      isMobile: phone,
      reducedMotion: 'reduce',
      ignoreHTTPSErrors: true,
    }));
  const page = await profile.newPage();
  const requests: Request[] = [];
  const parts: Promise<string>[] = [];
  const messages: string[] = [];
  const problems: string[] = [];
  page.on('request', (request) => requests.push(request));
  // Read at once: a page that is left loses the bodies of its responses.
  page.on('response', (response) => parts.push(describe(response).catch(() => '')));
  page.on('console', (message) => {
    messages.push(message.text());
    if (['error', 'warning'].includes(message.type())) problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  screenshotOnFailure(page);
  const history = () => historyOf(page);
  return {
    page,
    profile,
    urls: () => requests.map((request) => request.url()),
    problems: () => problems,
    history,
    async traffic() {
      return [...(await Promise.all(parts)), ...messages, ...problems, await history()].join('\n');
    },
    async takeScreenshot(name) {
      const { KEYHOLD_SCREENSHOTS: folder } = process.env;
      if (!folder) return;
      // Else the header, which stays at the top of the window, covers a part of the page.
      await page.evaluate('scrollTo(0, 0)');
      await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
    },
  };
}

async function historyOf(page: Page): Promise<string> {
  const session = await page.context().newCDPSession(page);
  const { entries } = await session.send('Page.getNavigationHistory');
  await session.detach();
  return entries.map(({ url, title }) => `${url} ${title}`).join('\n');
}

/** What a value may be in, except the body of the request that sends it. */
async function describe(response: Response): Promise<string> {
  const request = response.request();
  // A redirect has no body.
  const body = await response.text().catch(() => '');
  const headers = JSON.stringify([await request.allHeaders(), await response.allHeaders()]);
  return `${request.method()} ${request.url()} ${response.status()} ${headers} ${body}`;
}

/** Saves a picture of the page, for a person to see why a test has failed. */
function screenshotOnFailure(page: Page): void {
  try {
    onTestFailed(async ({ task }) => {
      if (page.isClosed()) return;
      const path = join(tmpdir(), 'keyhold-screenshots', `${task.name.replace(/\W+/g, '-')}.png`);
      mkdirSync(dirname(path), { recursive: true });
      await page.screenshot({ path }).catch(() => undefined);
    });
  } catch {
    // Opened outside of a test, as in beforeAll.
  }
}
