/** The page of a handle in each of its states: with a keyboard, on a phone, without scripts, for a screen reader, in two tabs. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Caller } from '../../src/contract/caller.ts';
import { HANDLE_AGE_MS } from '../../src/contract/limits.ts';
import { expectAccessibleInBothThemes } from '../kit/browser/accessibility.ts';
import {
  CAN_RUN_CHROMIUM,
  startChromium,
  type Tab,
  type TabOptions,
  type TestBrowser,
} from '../kit/browser/chromium.ts';
import { signInWithKey } from '../kit/browser/sign_in.ts';
import { findCanary, newCanary } from '../kit/canary.ts';
import { startPages } from '../kit/http/page_client.ts';

const FIELD = 'value.resend_api_key';
const STATES = ['form', 'refused', 'saved', 'declined', 'used', 'expired'] as const;
type State = (typeof STATES)[number];
const HEADINGS: Readonly<Record<State, string>> = {
  form: 'Connect Resend',
  refused: 'Connect Resend',
  saved: 'Saved',
  declined: 'Declined',
  used: 'This link was used already',
  expired: 'This link has expired',
};

describe.skipIf(!CAN_RUN_CHROMIUM)('the page of a handle', () => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startChromium();
  });
  afterAll(() => browser.close());

  /** A person of the same user as the agent, at the page of a handle. */
  async function openPage(options: TabOptions = {}) {
    const server = await startPages();
    const user = { organization: 'acme', user: 'ana' };
    const agent: Caller = await server.vault.api_keys.authenticate(await server.key(user), 'mcp', 'test');
    const { handle } = await server.vault.handles.create(
      { ...agent, claimed_client: 'claude-code 2.1.0' },
      { service_id: 'resend', credential_type: 'bearer' },
    );
    const url = `${server.url}/dashboard/enter/${handle}`;
    const tab = await browser.open(options);
    await tab.page.goto(url);
    await signInWithKey(tab.page, await server.key(user));
    const stateOf = async () => (await server.vault.handles.status(agent, handle)).state;
    return { server, agent, tab, page: tab.page, url, handle, stateOf };
  }

  const field = ({ page }: Tab) => page.locator(`[name="${FIELD}"]`);

  async function enter(tab: Tab, value: string): Promise<void> {
    await field(tab).fill(value);
    await tab.page.getByRole('button', { name: 'Save' }).click();
  }

  function letHandlesExpire(): void {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + HANDLE_AGE_MS });
    onTestFinished(() => void vi.useRealTimers());
  }

  /** Leads the tab from the page of a new handle to the state. */
  async function goTo(state: State, { tab, url }: Awaited<ReturnType<typeof openPage>>): Promise<void> {
    const { page } = tab;
    if (state === 'refused') await enter(tab, 'a value with a \u0001 control character');
    if (state === 'saved' || state === 'used') {
      await enter(tab, 're_typed');
      await page.waitForURL(`${url}/end`);
    }
    if (state === 'declined') await page.getByRole('button', { name: 'Decline' }).click();
    if (state === 'expired') letHandlesExpire();
    if (state === 'used' || state === 'expired') await page.goto(url);
    await page.getByRole('heading', { level: 1, name: HEADINGS[state] }).waitFor();
    if (state === 'refused') await page.locator('.field-error').waitFor();
  }

  describe.each(STATES)('that is %s', (state) => {
    test('has no finding of axe-core in both themes, no error in the console, and its own title', async () => {
      const opened = await openPage();
      const { tab, page } = opened;
      await goTo(state, opened);
      await tab.takeScreenshot(`enter-page-${state}-light`);
      await expectAccessibleInBothThemes(page);
      await tab.takeScreenshot(`enter-page-${state}-dark`);
      // The browser reports each response with an error status.
      const problems = tab.problems().filter((text) => !text.startsWith('Failed to load resource'));
      expect(problems).toEqual([]);
      if (state !== 'form' && state !== 'refused')
        expect(await page.title()).toBe(`${HEADINGS[state]} · Keyhold`);
    }, 60_000);

    test('is as wide as a phone', async () => {
      const opened = await openPage({ phone: true, scheme: 'dark' });
      await goTo(state, opened);
      await opened.tab.takeScreenshot(`enter-page-${state}-phone`);
      expect(await opened.page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    }, 60_000);

    test('works without scripts', async () => {
      const opened = await openPage({ javascript: false });
      await goTo(state, opened);
      expect(await opened.page.locator('.js-only:visible, .reveal').count()).toBe(0);
    }, 60_000);
  });

  test('is completed with the keyboard: the focus is visible and goes from the values to Save and Decline', async () => {
    const { page, stateOf } = await openPage();
    await page.reload();
    const order: string[] = [];
    for (let presses = 0; presses < 30 && order.at(-1) !== 'Decline'; presses++) {
      await page.keyboard.press('Tab');
      const [name, is_visible] = await page.evaluate<[string, boolean]>(`(() => {
        const one = document.activeElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(one);
        const label = one.labels?.[0]?.innerText ?? one.innerText;
        return [label.trim(), outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2];
      })()`);
      expect([name, is_visible]).toEqual([name, true]);
      order.push(name);
    }
    expect(order.slice(0, 2)).toEqual(['Skip to content', 'Keyhold']);
    expect(order.slice(-5)).toEqual(['Where to find it', 'API key', 'Show', 'Save', 'Decline']);
    for (let back = 0; back < 3; back++) await page.keyboard.press('Shift+Tab');
    await page.keyboard.type('re_typed_with_the_keyboard');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Saved' }).waitFor();
    expect(await stateOf()).toBe('done');
  }, 60_000);

  test('that was refused and left with the button back has no value in its fields', async () => {
    const canary = newCanary();
    const { tab, page, url } = await openPage();
    await enter(tab, `${canary.value} \u0001`);
    await page.locator('.field-error').waitFor();
    expect(await field(tab).inputValue()).toBe('');
    await page.goBack();
    await page.waitForURL(url);
    expect(await field(tab).inputValue()).toBe('');
    expect(findCanary((await tab.traffic()) + (await page.content()), canary)).toEqual([]);
  }, 60_000);

  test('that expires or is declined while the person types stores nothing', async () => {
    const declined = await openPage();
    const second = await browser.open({ profile: declined.tab.profile });
    await second.page.goto(declined.url);
    await second.page.getByRole('button', { name: 'Decline' }).click();
    await second.page.getByRole('heading', { name: 'Declined' }).waitFor();
    await enter(declined.tab, 're_too_late');
    await declined.page.getByRole('heading', { name: 'Declined' }).waitFor();
    const expired = await openPage();
    letHandlesExpire();
    await enter(expired.tab, 're_too_late');
    await expired.page.getByRole('heading', { name: 'This link has expired' }).waitFor();
    for (const { server, agent } of [declined, expired])
      expect(await server.vault.status(agent, { service_id: 'resend' })).toMatchObject({ status: 'missing' });
    expect([await declined.stateOf(), await expired.stateOf()]).toEqual(['declined', 'expired']);
  }, 60_000);

  test('in two tabs stores the value of the first that saves', async () => {
    const { server, agent, tab, page, url } = await openPage();
    const second = await browser.open({ profile: tab.profile });
    await second.page.goto(url);
    await enter(tab, 're_first');
    await page.getByRole('heading', { name: 'Saved' }).waitFor();
    await enter(second, 're_second');
    await second.page.getByRole('heading', { name: 'This link was used already' }).waitFor();
    const { credential_id } = await server.vault.status(agent, { service_id: 'resend' });
    const reader: Caller = { ...agent, scopes: new Set([...agent.scopes, 'values:reveal']) };
    const values = await server.vault.credentials.reveal(reader, credential_id ?? '');
    expect([...values.values()].map((value) => value.reveal())).toEqual(['re_first']);
  }, 60_000);

  test('whose person clicks Save twice stores once and ends with Saved', async () => {
    const { tab, page, stateOf } = await openPage();
    await field(tab).fill('re_twice');
    await page.getByRole('button', { name: 'Save' }).dblclick();
    await page.getByRole('heading', { name: /Saved|used already/ }).waitFor();
    await tab.takeScreenshot('enter-page-clicked-twice');
    expect(await page.getByRole('heading', { level: 1 }).innerText()).toBe('Saved');
    expect(await stateOf()).toBe('done');
  }, 60_000);
});
