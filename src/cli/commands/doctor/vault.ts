/** The doctor's look into the vault: whether it opens, whether its file is sound, whether its log is whole. */
import { statSync } from 'node:fs';
import type { Vault } from '../../../vault/vault.ts';
import { isVaultAbsent } from '../../connect/presence.ts';
import type { CliContext } from '../../context.ts';
import { loadCatalogue } from '../find_service.ts';
import { checkLog } from './audit_log.ts';
import { checkFailed, type Finding, fail, ok, warn } from './finding.ts';

/** The service definitions, people's own among them. */
export async function checkServices(context: CliContext): Promise<Finding> {
  try {
    const catalogue = await loadCatalogue(context);
    const services = catalogue.list();
    const own = services.filter(({ slug }) => catalogue.ownFileOf(slug) !== undefined).length;
    return ok('services', `${services.length} are defined, ${own} of them your own.`);
  } catch (error) {
    return checkFailed(context, 'services', error);
  }
}

/** Opens the vault, where there is one, and examines it. `services_ok`: without services no vault opens. */
export async function checkVault(context: CliContext, services_ok: boolean): Promise<Finding[]> {
  const { store_path } = context.settings();
  if (isVaultAbsent(context))
    return [warn('vault', 'There is no vault yet.', 'Run `keyhold init`, or just store something.')];
  const file = statSync(store_path, { throwIfNoEntry: false });
  // Opening an empty file would write into it.
  if (file?.isFile() && file.size === 0) {
    return [warn('vault', 'The vault file is empty.', 'Run `keyhold init` to make a vault in it.')];
  }
  if (!services_ok) {
    return [warn('vault', 'Not checked: no vault opens before the service definitions are right.', null)];
  }
  try {
    return await context.withVault('no', async (vault) => [
      ok('vault', 'It opens with this root key.'),
      await checkFile(context, vault),
      await checkLog(context, () => vault.verifyAudit(context.caller()), 'restore a backup that you trust.'),
    ]);
  } catch (error) {
    return [await checkFailed(context, 'vault', error)];
  }
}

async function checkFile(context: CliContext, vault: Vault): Promise<Finding> {
  try {
    const { ok: sound, detail, size_bytes } = await vault.health();
    if (sound) return ok('database', `${Math.ceil(size_bytes / 1024)} KiB; ${detail}.`);
    return fail('database', 'CORRUPT', `The vault file is damaged: ${detail}.`, 'Restore it from a backup.');
  } catch (error) {
    return checkFailed(context, 'database', error);
  }
}
