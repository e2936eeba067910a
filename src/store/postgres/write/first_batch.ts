/** Plans the first batch of a vault. */
import type { Batch, StoreHeader } from '../../store.ts';
import { keyOf } from '../statements.ts';
import { Group } from './group.ts';
import { nothingLoaded } from './group_state.ts';

/** The first batch of a vault, in tables that are empty. */
export function planFirst({ root_key_id }: StoreHeader, batch: Batch): Group {
  const loaded = nothingLoaded();
  loaded.vault = { root_key_id, newest_version: 0 };
  for (const { organization } of batch.audit) loaded.heads.set(keyOf(organization), undefined);
  const group = new Group({ loaded, is_locked: false, knownHead: () => undefined, reuse: (row) => row });
  const ignore = () => undefined;
  group.run({
    reads: [],
    plan: () => batch,
    batch: () => batch,
    resolve: ignore,
    reject: ignore,
    since_ms: performance.now(),
  });
  const [failure] = group.failed;
  if (failure !== undefined) throw failure[1];
  return group;
}
