/** The ToolRouter dialect: stacks, servers, the credentials of a server in a stack, and tools. */
import type { Dialect } from '../../http/dialect.ts';
import { registerCredentials } from './credentials.ts';
import { toolrouterError, toolrouterInvalid } from './errors.ts';
import { registerServers } from './servers.ts';
import { registerShares } from './shares.ts';
import { registerStacks } from './stacks.ts';
import { registerTools } from './tools.ts';

export const toolrouter: Dialect = {
  name: 'toolrouter',
  prefixes: ['/v1/stacks', '/v1/servers', '/s'],
  error: toolrouterError,
  invalid: toolrouterInvalid,
  register(app, parts) {
    registerCredentials(app, parts);
    registerServers(app, parts);
    registerStacks(app, parts);
    registerShares(app, parts);
    registerTools(app, parts);
  },
};
