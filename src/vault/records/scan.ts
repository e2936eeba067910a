/** Pages through a list of the store, so that callers neither handle cursors nor block the event loop. */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { LIST_PAGE_MAX } from '../../contract/limits.ts';
import type { Store, StoredMeta } from '../../store/store.ts';

/** All rows of a scope, newest first. Other callers run between pages: SQLite reads are synchronous. */
export async function* scanRows(
  store: Pick<Store, 'list'>,
  scope: Buffer,
  page_size = LIST_PAGE_MAX,
): AsyncGenerator<StoredMeta> {
  let cursor: string | undefined;
  do {
    const page = await store.list(scope, page_size, cursor);
    yield* page.records;
    cursor = page.next;
    if (cursor !== undefined) await yieldToEventLoop();
  } while (cursor !== undefined);
}
