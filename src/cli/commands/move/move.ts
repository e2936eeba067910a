/** `keyhold move`: makes another store the vault. */
import { assertLocal } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { print, printJson } from '../../terminal/output.ts';
import { progressLine } from '../backup/progress.ts';

interface Options {
  readonly cancel?: boolean;
  readonly accept?: boolean;
  readonly json?: boolean;
}

export async function moveVault(
  context: CliContext,
  store: string,
  { cancel = false, accept = false, json }: Options,
): Promise<void> {
  assertLocal(context.env, 'move', 'Run it on the machine of the server.');
  const destination = await context.moveDestination(store);
  if (cancel) {
    const { was_moving, copy_failure } = await context.withVault('no', (vault) =>
      vault.moves.cancel(context.caller(), destination),
    );
    if (json) return printJson(context, { cancelled: was_moving, copy_failure: copy_failure ?? null });
    const lines = was_moving
      ? ['The move was cancelled. The present store is the vault, and accepts writes again.']
      : ['No move was running. A partial copy in the new store, if there was one, was deleted.'];
    if (copy_failure !== undefined)
      lines.push(
        `The partial copy in the new store was not deleted: ${copy_failure} Then run this command again.`,
      );
    return print(context, lines);
  }
  const progress = progressLine(context, 'Moving');
  const moved = await context
    .withVault('no', (vault) =>
      vault.moves.move(context.caller(), destination, { accept, onProgress: progress.show }),
    )
    .finally(progress.clear);
  if (json) return printJson(context, { ...moved, kept: moved.kept ?? null });
  const { location, records, entries, refused_ms, kept, was_moved } = moved;
  const lines = was_moved
    ? [`The vault had been moved to ${location} by an earlier run. Nothing else was changed.`]
    : [
        `Moved ${records} records and ${entries} audit entries to ${location}.`,
        `Both stores were equal. Writes were refused for ${(refused_ms / 1_000).toFixed(1)} s.`,
      ];
  if (kept !== undefined) lines.push(`The former file there was kept: ${kept}`);
  await print(context, [
    ...lines,
    `Next: set KEYHOLD_STORE=${store} wherever Keyhold runs, and restart it. The former store refuses writes from now on.`,
  ]);
}
