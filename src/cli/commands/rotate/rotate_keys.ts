/** `keyhold rotate data`, `box` and `signing`: replace keys that the root key wraps. */
import { VaultError } from '../../../contract/errors.ts';
import type { DataRotationReport } from '../../../vault/keys/rotations/data_rotation.ts';
import type { Vault } from '../../../vault/vault.ts';
import { assertLocal } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { print, printJson } from '../../terminal/output.ts';
import { countLine } from '../backup/progress.ts';

interface Options {
  readonly org?: string;
  readonly json?: boolean;
}

const RUN_HERE = 'Run the command on the machine of the vault.';

export async function rotateData(
  context: CliContext,
  { org, all, json }: Options & { readonly all?: boolean },
): Promise<void> {
  assertLocal(context.env, 'rotate', RUN_HERE);
  if (all === true && org !== undefined)
    throw new VaultError('INVALID_INPUT', '--all and --org exclude each other. Leave one out.');
  const progress = countLine(context, 'Encrypting records again');
  const reports: (DataRotationReport & { organization: string })[] = [];
  try {
    await context.withVault('no', async (vault) => {
      for (const organization of all === true ? await allOrganizations(context, vault) : [org]) {
        const report = await vault.rotations.rotateData(context.caller(), organization, progress.show);
        reports.push({ organization: organization ?? context.caller().organization, ...report });
      }
    });
  } finally {
    progress.clear();
  }
  if (json === true) return printJson(context, { rotated: 'data', organizations: reports });
  await print(context, reports.map(describe));
}

async function allOrganizations(context: CliContext, vault: Vault): Promise<readonly string[]> {
  const { organization } = context.caller();
  return [organization, ...(await vault.organizations.names(context.caller()))];
}

function describe({
  organization,
  key_version,
  records,
  resumed,
}: DataRotationReport & { organization: string }) {
  const done = resumed
    ? 'The rotation of the data key that had begun was finished'
    : 'The data key was replaced';
  return `${organization}: ${done} (version ${key_version}). Records that were encrypted again: ${records}.`;
}

export async function rotateBox(
  context: CliContext,
  { org, retire, json }: Options & { readonly retire?: boolean },
): Promise<void> {
  assertLocal(context.env, 'rotate', RUN_HERE);
  const public_key = await context.withVault('no', ({ rotations }) =>
    retire === true
      ? rotations.retireBoxes(context.caller(), org)
      : rotations.rotateBox(context.caller(), org),
  );
  if (json === true) return printJson(context, { rotated: 'box', retired: retire === true, public_key });
  await print(context, [
    retire === true
      ? 'Values that were sealed to former keys are refused from now on.'
      : 'The key for sealed values was replaced. Values sealed to the former one stay usable until they expire, or until `keyhold rotate box --retire`.',
    `The public key is ${public_key}.`,
  ]);
}

export async function rotateSigning(context: CliContext, { json }: Options): Promise<void> {
  assertLocal(context.env, 'rotate', RUN_HERE);
  await context.withVault('no', (vault) => vault.rotations.rotateSigning(context.caller()));
  if (json === true) return printJson(context, { rotated: 'signing' });
  await print(context, [
    'The signing keys were replaced. People who are signed in stay so; a sign-in with an identity provider that waits must be begun again.',
  ]);
}
