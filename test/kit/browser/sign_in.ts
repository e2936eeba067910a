/** Signs a person in with the pages, in a real browser. */
import type { Page } from 'playwright-core';

/** On the sign-in page, which a page of the server has led to. */
export async function signInWithKey(page: Page, key: string): Promise<void> {
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL((url) => !url.pathname.endsWith('/sign-in'));
}
