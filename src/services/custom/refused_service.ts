/** Custom services whose definition file no person has approved. */
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';

/** `new`: no approved definition has this slug. `changed`: another definition with it is approved. */
export type RefusedState = 'new' | 'changed';

/** A definition of the folder, as it was read. */
export interface CustomDefinition {
  readonly service: Service;
  readonly file_name: string;
  readonly json: unknown;
}

export interface RefusedService {
  readonly service: Service;
  readonly state: RefusedState;
}

/** FORBIDDEN with the reason `service_not_approved`. */
export function notApproved({ service: { slug }, state }: RefusedService): VaultError {
  const what = state === 'new' ? 'has not been approved' : 'was changed after it was approved';
  const message = `The definition of the custom service ${slug} ${what}, so it is not used. A person checks it with \`keyhold services approve ${slug}\` on the machine of the vault.`;
  return new VaultError('FORBIDDEN', message, { reason: 'service_not_approved' });
}
