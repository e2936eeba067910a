/** The SuperAI Flow dialect, under both prefixes that its clients use. */
import type { Dialect } from '../../http/dialect.ts';
import { registerCatalog } from './catalog.ts';
import { registerCredentials } from './credentials.ts';
import { superaiError, superaiInvalid } from './errors.ts';
import { registerTestConnections } from './test_connections.ts';

const PREFIXES = ['/integrations', '/api/integrations'];

export const superai: Dialect = {
  name: 'superai',
  prefixes: PREFIXES,
  error: superaiError,
  invalid: superaiInvalid,
  register(app, parts) {
    for (const prefix of PREFIXES) {
      registerCredentials(app, parts, prefix);
      registerCatalog(app, parts, prefix);
      registerTestConnections(app, parts, prefix);
    }
  },
};
