/** The pages of this server, for responses that send a person there. */
import type { Pages } from '../../contract/pages.ts';
import type { HttpDependencies } from '../../http/dialect.ts';

export function pagesOf({ public_url }: HttpDependencies): Pages {
  return { baseUrl: async () => public_url, dashboardUrl: async () => public_url };
}
