/** The options of the commands of `keyhold stacks`. */
import type { ConnectionOptions } from '../../connect/server_option.ts';

export interface StackOptions extends ConnectionOptions {
  readonly json?: boolean;
}

/** The user or the unit of a share, as options. */
export interface GranteeOptions extends StackOptions {
  readonly user?: string;
  readonly unit?: string;
}
