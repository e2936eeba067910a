/** Whether the definitions of custom services are approved. Opens the local vault without a prompt, and creates nothing. */
import { VaultError } from '../../../contract/errors.ts';
import type { ServiceCatalogue } from '../../../services/catalogue.ts';
import type { DefinitionState } from '../../../vault/definitions/definition_approvals.ts';
import { isVaultAbsent, mayVaultExist } from '../../connect/presence.ts';
import type { CliContext } from '../../context.ts';

/** `unknown`: the vault cannot be opened, for example without its passphrase. */
export type ShownState = DefinitionState | 'unknown';

/** The states of the custom services in the catalogue, by slug. */
export async function customStates(
  context: CliContext,
  catalogue: ServiceCatalogue,
): Promise<ReadonlyMap<string, ShownState>> {
  const slugs = catalogue.customDefinitions().map(({ service }) => service.slug);
  const all = (state: ShownState) => new Map(slugs.map((slug) => [slug, state]));
  if (slugs.length === 0 || isVaultAbsent(context)) return all('new');
  try {
    if (!mayVaultExist(context)) return all('new');
    const reviews = await context.withVault(
      'no',
      (vault) => vault.definitions.list(context.caller()),
      async () => undefined,
    );
    const known = new Map(reviews.map(({ service, state }) => [service.slug, state]));
    return new Map(slugs.map((slug) => [slug, known.get(slug) ?? 'unknown']));
  } catch (error) {
    if (error instanceof VaultError) return all('unknown');
    throw error;
  }
}

/** The state in words, with the next step. */
export function describeState(state: ShownState, slug: string): string {
  switch (state) {
    case 'approved':
      return 'approved';
    case 'new':
      return `not approved, so not used; check it with \`keyhold services approve ${slug}\``;
    case 'changed':
      return `changed after it was approved, so not used; check it with \`keyhold services approve ${slug}\``;
    case 'unknown':
      return 'custom; the vault that has its approval could not be opened';
  }
}
