/** The Danube dialect: store a credential, list services, search and call their tools, manage API keys. */
import type { Dialect } from '../../http/dialect.ts';
import { codedError, codedInvalid } from '../openapi/responses.ts';
import { registerApiKeys } from './api_keys.ts';
import { registerPublicServices } from './public_services.ts';
import { registerServiceCalls } from './service_calls.ts';
import { registerServices } from './services.ts';
import { registerStore } from './store.ts';
import { registerTools } from './tools.ts';

export const danube: Dialect = {
  name: 'danube',
  prefixes: ['/v1/credentials/store', '/v1/services', '/v1/tools', '/v1/api-keys'],
  error: codedError,
  invalid: codedInvalid,
  register(app, parts) {
    registerStore(app, parts);
    registerServices(app, parts);
    registerServiceCalls(app, parts);
    registerPublicServices(app, parts);
    registerApiKeys(app, parts);
    registerTools(app, parts);
  },
};
