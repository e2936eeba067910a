/** A caller who acts in another organization. Only who runs the installation may: the one place that says so. */
import { OrganizationName } from './api_key.ts';
import { type Caller, isOperator } from './caller.ts';
import { VaultError } from './errors.ts';
import { parseInput } from './validation.ts';

/** The caller as it acts in `organization`; itself where that is its own. Throws FORBIDDEN, or INVALID_INPUT. */
export function actingIn(caller: Caller, organization: string | undefined): Caller {
  if (organization === undefined || organization === caller.organization) return caller;
  const name = parseInput(OrganizationName, organization);
  if (isOperator(caller)) return { ...caller, organization: name };
  throw new VaultError('FORBIDDEN', 'Only who runs this installation acts in other organizations.');
}
