/** `keyhold rotate root` and `keyhold change-passphrase`: replace the root key, and name the setting to change. */
import { VaultError } from '../../../contract/errors.ts';
import type { RootKeySource } from '../../../vault/keys/root_key.ts';
import type { RootRotationReport } from '../../../vault/keys/rotations/root_rotation.ts';
import { assertLocal } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { print, printJson } from '../../terminal/output.ts';
import { readValue, type ValueOptions, willPrompt } from '../../terminal/read_value.ts';
import { countLine } from '../backup/progress.ts';
import { promptNewPassphrase } from '../init.ts';

interface RootOptions {
  readonly to?: string;
  readonly json?: boolean;
}

const RUN_HERE = 'Run the command on the machine of the vault.';
const OTHERS =
  'Other processes that have the vault open go on. Give them the new key before they are started again.';
const OTHER_MACHINES =
  'Other machines that use this database need the new root key: copy it to each of them before Keyhold is started there again.';

export async function rotateRoot(context: CliContext, { to, json }: RootOptions): Promise<void> {
  assertLocal(context.env, 'rotate', RUN_HERE);
  const source = to === undefined ? undefined : await newSource(context, to, {});
  const report = await rotate(context, source);
  const { root_key, store } = context.settings();
  const { kind } = source ?? root_key;
  const { keys, not_removed = null } = report;
  if (json === true) return printJson(context, { rotated: 'root', source: kind, keys, not_removed });
  const is_shared = store.kind !== 'sqlite' && (kind === 'file' || kind === 'keychain');
  await print(context, [
    `The root key was replaced, and ${countKeys(report)} wrapped again.`,
    ...(to === undefined
      ? is_shared
        ? [OTHER_MACHINES]
        : []
      : [`Set KEYHOLD_ROOT_KEY=${to} now: the vault opens with the new key only.`, OTHERS]),
    ...adviceOf(report),
  ]);
}

export async function changePassphrase(
  context: CliContext,
  { json, ...options }: ValueOptions & { readonly json?: boolean },
): Promise<void> {
  assertLocal(context.env, 'change-passphrase', RUN_HERE);
  if (context.settings().root_key.kind !== 'passphrase') {
    const message =
      'KEYHOLD_ROOT_KEY does not select a passphrase. To open the vault with one from now on, run `keyhold rotate root --to passphrase`.';
    throw new VaultError('INVALID_INPUT', message);
  }
  const report = await rotate(context, await newSource(context, 'passphrase', options));
  if (json === true)
    return printJson(context, {
      rotated: 'passphrase',
      keys: report.keys,
      not_removed: report.not_removed ?? null,
    });
  await print(context, [
    `The passphrase was changed, and ${countKeys(report)} wrapped again.`,
    'If KEYHOLD_PASSPHRASE has the former one, set it to the new one.',
    OTHERS,
    ...adviceOf(report),
  ]);
}

async function rotate(context: CliContext, source: RootKeySource | undefined): Promise<RootRotationReport> {
  const progress = countLine(context, 'Wrapping the keys');
  try {
    return await context.withVault('no', (vault) =>
      vault.rotations.rotateRoot(context.caller(), source, progress.show),
    );
  } finally {
    progress.clear();
  }
}

/** A new passphrase is prompted for after the present one, which opens the vault. */
async function newSource(context: CliContext, to: string, options: ValueOptions): Promise<RootKeySource> {
  if (to !== 'passphrase') return context.rootKeySource(to);
  const prompts = willPrompt(context, options) || (options.stdin !== true && options.fromEnv === undefined);
  if (prompts)
    return { kind: 'passphrase', prompt: () => promptNewPassphrase(context, 'nothing was changed')('') };
  const passphrase = await readValue(context, options, 'New passphrase for the vault');
  return { kind: 'passphrase', prompt: async () => passphrase };
}

function countKeys({ keys }: RootRotationReport): string {
  return keys === 1 ? '1 key was' : `${keys} keys were`;
}

function adviceOf({ not_removed }: RootRotationReport): readonly string[] {
  const backups = 'Copies of the vault from before still open with the former key.';
  return not_removed === undefined ? [backups] : [not_removed, backups];
}
