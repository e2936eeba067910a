/** Keyhold's own routes, used by its client and its command line. */
import type { Dialect } from '../../http/dialect.ts';
import { codedError, codedInvalid } from '../openapi/responses.ts';
import { registerAccessRequests } from './access_requests.ts';
import { registerApprovals } from './approvals.ts';
import { registerAudit } from './audit.ts';
import { registerConnections } from './connections.ts';
import { registerCredentials } from './credentials.ts';
import { registerHandles } from './handles.ts';
import { registerMe } from './me.ts';
import { registerServices } from './services.ts';
import { registerUnits } from './units.ts';
import { registerUsers } from './users.ts';

export const keyhold: Dialect = {
  name: 'keyhold',
  prefixes: ['/v1'],
  error: codedError,
  invalid: codedInvalid,
  register(app, parts) {
    registerCredentials(app, parts);
    registerHandles(app, parts);
    registerConnections(app, parts);
    registerAccessRequests(app, parts);
    registerApprovals(app, parts);
    registerServices(app, parts);
    registerAudit(app, parts);
    registerUnits(app, parts);
    registerUsers(app, parts);
    registerMe(app, parts);
  },
};
