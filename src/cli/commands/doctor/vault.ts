/** Checks that the service definitions load, that the vault opens and that its file and its audit log are intact. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { AuditReport } from '../../../contract/audit.ts';
import { shellQuote } from '../../../io/shell_quote.ts';
import type { Vault, VaultHealth } from '../../../vault/vault.ts';
import { createForWriting, isVaultAbsent } from '../../connect/presence.ts';
import type { CliContext } from '../../context.ts';
import { loadCatalogue } from '../find_service.ts';
import { checkFailed, type Finding, fail, ok, warn } from './finding.ts';

/** Checks the built-in and the custom service definitions. */
export async function checkServices(context: CliContext): Promise<Finding> {
  try {
    const catalogue = await loadCatalogue(context);
    const services = catalogue.list();
    const custom = services.filter(({ slug }) => catalogue.customFileOf(slug) !== undefined).length;
    return ok('services', `${services.length} are defined, ${custom} of them custom.`);
  } catch (error) {
    return checkFailed(context, 'services', error);
  }
}

/** Opens the vault, if there is one, and checks it. `services_ok`: a vault does not open without services. */
export async function checkVault(context: CliContext, services_ok: boolean): Promise<Finding[]> {
  const { store } = context.settings();
  if (isVaultAbsent(context)) {
    const or_store = createForWriting(context) === 'no' ? '' : ', or store a credential';
    return [warn('vault', 'There is no vault yet.', `Run \`keyhold init\`${or_store}.`)];
  }
  const file = store.kind === 'sqlite' ? statSync(store.path, { throwIfNoEntry: false }) : undefined;
  // Opening an empty file would write into it.
  if (file?.isFile() && file.size === 0) {
    return [warn('vault', 'The vault file is empty.', 'Run `keyhold init` to create a vault in it.')];
  }
  if (!services_ok) {
    return [warn('vault', 'Not checked: the vault opens only with valid service definitions.', null)];
  }
  try {
    return await context.withVault('no', async (vault) => [
      ok('vault', openedMessage(context)),
      ...(await checkFormerRootKeys(context, vault)),
      ...(await checkDefinitions(context, vault)),
      ...(await checkFile(context, vault)),
      await checkAuditLog(
        context,
        () => vault.verifyAudit(context.caller()),
        'restore a backup that you trust.',
      ),
    ]);
  } catch (error) {
    return [await checkFailed(context, 'vault', error)];
  }
}

function openedMessage(context: CliContext): string {
  const { kind } = context.settings().root_key;
  const has_service = kind === 'transit' || kind === 'aws-kms';
  return `It opens with this root key${has_service ? ', which the key service decrypted' : ''}.`;
}

/** No finding unless a rotation of the root key could not remove a former one. */
async function checkFormerRootKeys(context: CliContext, vault: Vault): Promise<Finding[]> {
  try {
    const former = await vault.rotations.formerRoots(context.caller());
    return former.map(({ source, ref }) => {
      const where = source === 'file' ? 'file' : 'entry of the keychain';
      const message = `A former root key was not removed. It opens older copies of the vault only. It is the ${where} ${ref}.`;
      const remedy = `Remove it unless you keep older copies. \`keyhold rotate root\` removes it too.`;
      return warn('former_key', message, remedy);
    });
  } catch (error) {
    return [await checkFailed(context, 'former_key', error)];
  }
}

/** No finding without custom services. */
async function checkDefinitions(context: CliContext, vault: Vault): Promise<Finding[]> {
  const reviews = await vault.definitions.list(context.caller());
  const refused = reviews.filter(({ state }) => state !== 'approved');
  if (reviews.length === 0) return [];
  if (refused.length === 0) return [ok('definitions', 'All custom services are approved.')];
  const named = refused.map(({ service, state }) => `${service.slug} (${state})`).join(', ');
  const remedy = `Check the files, then run \`keyhold services approve ${refused[0]?.service.slug}\`.`;
  return [warn('definitions', `Custom services that are not approved are not used: ${named}.`, remedy)];
}

async function checkFile(context: CliContext, vault: Vault): Promise<Finding[]> {
  try {
    const health = await vault.health();
    return [databaseFinding(health), ...(health.lacks_anchor ? [anchorFinding(context)] : [])];
  } catch (error) {
    return [await checkFailed(context, 'database', error)];
  }
}

function databaseFinding({ ok: is_intact, detail, size_bytes, warning }: VaultHealth): Finding {
  if (is_intact && warning !== undefined) return warn('database', warning.message, warning.remedy);
  if (is_intact) return ok('database', `${Math.ceil(size_bytes / 1024)} KiB; ${detail}.`);
  return fail('database', 'CORRUPT', `The vault file is damaged: ${detail}.`, 'Restore it from a backup.');
}

function anchorFinding(context: CliContext): Finding {
  const message =
    'The file keys/anchor of this vault is missing on this machine, so an older copy of the vault would not be detected here.';
  const remedy = `Run \`keyhold audit verify --accept\`, which creates it. The user of Keyhold must be able to write to ${shellQuote(join(context.settings().home, 'keys'))}.`;
  return warn('anchor', message, remedy);
}

/** Verifies the audit log of a vault or a server. `next_step` completes the advice for a broken log. */
export async function checkAuditLog(
  context: CliContext,
  verify: () => Promise<AuditReport>,
  next_step: string,
): Promise<Finding> {
  try {
    const { ok: is_intact, entries, findings } = await verify();
    if (is_intact)
      return ok('audit', `The log is intact: ${entries} ${entries === 1 ? 'entry' : 'entries'}.`);
    const count = `${findings.length} ${findings.length === 1 ? 'problem' : 'problems'}`;
    const remedy = `Run \`keyhold audit verify\` to see where, then ${next_step}`;
    return fail('audit', 'CORRUPT', `Verification found ${count} in the log.`, remedy);
  } catch (error) {
    return checkFailed(context, 'audit', error);
  }
}
