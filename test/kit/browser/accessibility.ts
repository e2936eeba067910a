/** Checks a page with axe-core, for the rules of WCAG 2.2 at level AA and the best practices. */
import type { AxeResults } from 'axe-core';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';

/** Fails with the rule, its help and the elements of each violation. The page needs JavaScript. */
export async function expectAccessible(page: Page): Promise<void> {
  // The protocol of the browser evaluates it: the content security policy of the page does not apply.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>('axe.run()');
  const found = violations.map(({ id, help, nodes }) => ({
    id,
    help,
    elements: nodes.map(({ html, failureSummary }) => `${html} ${failureSummary ?? ''}`),
  }));
  expect(found).toEqual([]);
}

/** As `expectAccessible`, in both themes; the page stays dark. */
export async function expectAccessibleInBothThemes(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await expectAccessible(page);
  }
}
