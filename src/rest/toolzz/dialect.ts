/** The Toolzz dialect: credentials, units and integrations. */
import type { Dialect } from '../../http/dialect.ts';
import { registerCredentials } from './credentials.ts';
import { toolzzError, toolzzInvalid } from './errors.ts';
import { registerIntegrations, registerValidation } from './integrations.ts';
import { registerUnits } from './units.ts';

export const toolzz: Dialect = {
  name: 'toolzz',
  prefixes: ['/api/v1'],
  error: toolzzError,
  invalid: toolzzInvalid,
  register(app, parts) {
    registerCredentials(app, parts);
    registerUnits(app, parts);
    registerIntegrations(app, parts);
    registerValidation(app, parts);
  },
};
